# What `cmake --install` and `cpack` put where (docs/sdk.md).
#
# Component sdk: headers, libfedwatt_client.so, libfedwatt_trainer_portable.so,
# find_package(fedwatt), pkg-config. Component sdk_torch: the trainer that needs LibTorch, which the
# other package must not depend on. Component programs: the daemons, the CLI and the trainer
# program. cpack makes one Debian package of each.

include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

if(NOT TARGET fedwatt_client_so)
  return()
endif()

# The C++ headers are a layer over the C ABI, all inline: one library serves both.
add_library(fedwatt_client_headers INTERFACE)
set_target_properties(fedwatt_client_headers PROPERTIES EXPORT_NAME client)
target_compile_features(fedwatt_client_headers INTERFACE cxx_std_20)
target_link_libraries(fedwatt_client_headers INTERFACE fedwatt_client_so)
# LibTorch lives in the program fedwatt-torch alone; what an app links to is the client.
add_library(fedwatt_trainer_torch_headers INTERFACE)
set_target_properties(fedwatt_trainer_torch_headers PROPERTIES EXPORT_NAME trainer_torch)
target_link_libraries(fedwatt_trainer_torch_headers INTERFACE fedwatt_client_headers)

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/fedwatt")
install(TARGETS fedwatt_client_so fedwatt_trainer_portable_so fedwatt_client_headers
                fedwatt_trainer_torch_headers
        EXPORT fedwatt-targets COMPONENT sdk
        LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(DIRECTORY "${CMAKE_SOURCE_DIR}/client/include/fedwatt" COMPONENT sdk
        DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" FILES_MATCHING PATTERN "*.h"
        PATTERN "torch_in_process*.h" EXCLUDE)
install(EXPORT fedwatt-targets NAMESPACE fedwatt:: COMPONENT sdk DESTINATION "${package_dir}")

configure_package_config_file(cmake/fedwatt-config.cmake.in
    "${CMAKE_BINARY_DIR}/package/fedwatt-config.cmake" INSTALL_DESTINATION "${package_dir}"
    PATH_VARS CMAKE_INSTALL_BINDIR)
write_basic_package_version_file("${CMAKE_BINARY_DIR}/package/fedwatt-config-version.cmake"
    COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_BINARY_DIR}/package/fedwatt-config.cmake"
              "${CMAKE_BINARY_DIR}/package/fedwatt-config-version.cmake"
        COMPONENT sdk DESTINATION "${package_dir}")

# An installed tree can be moved: a .pc file knows where it lies in it.
file(RELATIVE_PATH FEDWATT_PKG_CONFIG_TO_PREFIX
     "${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig" "${CMAKE_INSTALL_PREFIX}")
string(REGEX REPLACE "/$" "" FEDWATT_PKG_CONFIG_TO_PREFIX "${FEDWATT_PKG_CONFIG_TO_PREFIX}")

function(fedwatt_install_pkg_config name component)
  configure_file(cmake/${name}.pc.in "${CMAKE_BINARY_DIR}/package/${name}.pc" @ONLY)
  install(FILES "${CMAKE_BINARY_DIR}/package/${name}.pc" COMPONENT ${component}
          DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
endfunction()

fedwatt_install_pkg_config(fedwatt-client sdk)
fedwatt_install_pkg_config(fedwatt-trainer-portable sdk)

set(CPACK_COMPONENTS_ALL sdk programs)
if(TARGET fedwatt_trainer_torch_in_process_so)
  install(TARGETS fedwatt_trainer_torch_in_process_so
          EXPORT fedwatt-torch-targets COMPONENT sdk_torch
          LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}")
  install(DIRECTORY "${CMAKE_SOURCE_DIR}/client/include/fedwatt" COMPONENT sdk_torch
          DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" FILES_MATCHING PATTERN "torch_in_process*.h"
          PATTERN "detail" EXCLUDE)
  install(EXPORT fedwatt-torch-targets NAMESPACE fedwatt:: COMPONENT sdk_torch
          DESTINATION "${package_dir}")
  fedwatt_install_pkg_config(fedwatt-trainer-torch-in-process sdk_torch)
  list(APPEND CPACK_COMPONENTS_ALL sdk_torch)
endif()

foreach(program fedwatt fedwatt-coordinator fedwatt-client fedwatt-torch)
  if(TARGET ${program})
    install(TARGETS ${program} COMPONENT programs RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}"
            OPTIONAL)
  endif()
endforeach()

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME fedwatt)
set(CPACK_PACKAGE_CONTACT "the fedwatt authors")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
set(CPACK_PACKAGE_VERSION "${PROJECT_VERSION}")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# One package's libraries need another's, which is not installed here.
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS "${CMAKE_BINARY_DIR}/lib")
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_SDK_PACKAGE_NAME libfedwatt-client-dev)
set(CPACK_DEBIAN_SDK_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_SDK_TORCH_PACKAGE_NAME libfedwatt-trainer-torch-in-process-dev)
set(CPACK_DEBIAN_SDK_TORCH_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_SDK_TORCH_PACKAGE_DEPENDS "libfedwatt-client-dev (= ${PROJECT_VERSION})")
set(CPACK_DEBIAN_PROGRAMS_PACKAGE_NAME fedwatt)
set(CPACK_DEBIAN_PROGRAMS_PACKAGE_SECTION science)
include(CPack)
