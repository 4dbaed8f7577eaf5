# Third-party libraries, all from the distribution (deploy/packages.txt).
#
# Targets to name in DEPS: absl::*, protobuf::libprotobuf, gRPC::grpc++, gRPC::grpc++_reflection,
# OpenSSL::SSL, OpenSSL::Crypto, SQLite::SQLite3, CURL::libcurl, PkgConfig::ZSTD, PkgConfig::HWY, PkgConfig::TCMALLOC, htscodecs (fedwatt_htscodecs), Eigen3::Eigen, CLI11::CLI11,
# tomlplusplus::tomlplusplus, spdlog::spdlog, nlohmann_json::nlohmann_json, GTest::gmock,
# benchmark::benchmark, fedwatt_proto. LibTorch: call fedwatt_find_torch(), then DEPS libtorch.

set(CMAKE_FIND_PACKAGE_TARGETS_GLOBAL ON)
set(THREADS_PREFER_PTHREAD_FLAG ON)

find_package(Threads REQUIRED)
find_package(Protobuf REQUIRED)
find_package(absl CONFIG REQUIRED)
find_package(gRPC CONFIG REQUIRED)
find_package(OpenSSL 3.0 REQUIRED)
find_package(SQLite3 3.37 REQUIRED)
find_package(CURL 7.74 REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET GLOBAL libzstd)
pkg_check_modules(HWY REQUIRED IMPORTED_TARGET GLOBAL libhwy)
pkg_check_modules(TCMALLOC REQUIRED IMPORTED_TARGET GLOBAL libtcmalloc_minimal)

# Debian's htscodecs has no pkg-config file.
find_library(HTSCODECS_LIBRARY htscodecs REQUIRED)
find_path(HTSCODECS_INCLUDE_DIR htscodecs/rANS_static4x16.h REQUIRED)
add_library(fedwatt_htscodecs INTERFACE)
target_link_libraries(fedwatt_htscodecs INTERFACE ${HTSCODECS_LIBRARY})
target_include_directories(fedwatt_htscodecs SYSTEM INTERFACE ${HTSCODECS_INCLUDE_DIR})

find_package(Eigen3 3.3 REQUIRED NO_MODULE)
find_package(CLI11 CONFIG REQUIRED)
find_package(tomlplusplus CONFIG REQUIRED)
find_package(spdlog CONFIG REQUIRED)
find_package(nlohmann_json CONFIG REQUIRED)
find_package(GTest CONFIG REQUIRED)
find_package(benchmark CONFIG REQUIRED)

# LibTorch is looked up only by the two folders that may include it; everything else must build
# on a machine that has none.
macro(fedwatt_find_torch)
  if(NOT TARGET fedwatt_libtorch)
    find_package(Torch REQUIRED)
    add_library(fedwatt_libtorch INTERFACE)
    target_link_libraries(fedwatt_libtorch INTERFACE ${TORCH_LIBRARIES})
    target_include_directories(fedwatt_libtorch SYSTEM INTERFACE ${TORCH_INCLUDE_DIRS})
  endif()
endmacro()
