# Language level, build types, sanitizers, compiler cache and linker.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()

# No -march=native: one binary serves every machine of a fleet, and equal bits matter. No NDEBUG:
# a broken invariant must stop a coordinator before it commits.
set(CMAKE_CXX_FLAGS_RELEASE "-O2")
set(CMAKE_C_FLAGS_RELEASE "-O2")
# For devices: what nobody calls is left out, function by function.
set(CMAKE_CXX_FLAGS_MINSIZEREL "-Os -ffunction-sections -fdata-sections -fvisibility=hidden")
set(CMAKE_C_FLAGS_MINSIZEREL "${CMAKE_CXX_FLAGS_MINSIZEREL}")
set(CMAKE_CXX_FLAGS_SANITIZE "-O1 -g1 -fno-omit-frame-pointer")
set(CMAKE_C_FLAGS_SANITIZE "-O1 -g1 -fno-omit-frame-pointer")

# a*b+c must round the same way wherever it is compiled.
add_compile_options(-ffp-contract=off)

if(FEDWATT_SANITIZE)
  # What sanitizers add makes g++ 12 doubt variables of the standard library (std::regex).
  add_compile_options($<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
  add_compile_options(-fsanitize=${FEDWATT_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${FEDWATT_SANITIZE})
endif()

# With a base directory, several build trees below this source tree share the cache's entries.
find_program(FEDWATT_CCACHE ccache)
if(FEDWATT_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(launcher "${CMAKE_COMMAND}" -E env "CCACHE_BASEDIR=${CMAKE_SOURCE_DIR}" CCACHE_NOHASHDIR=1
      "${FEDWATT_CCACHE}")
  set(CMAKE_C_COMPILER_LAUNCHER ${launcher})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${launcher})
endif()

find_program(FEDWATT_MOLD NAMES mold)
find_program(FEDWATT_LLD NAMES ld.lld)
if(FEDWATT_MOLD)
  add_link_options(-fuse-ld=mold)
elseif(FEDWATT_LLD)
  add_link_options(-fuse-ld=lld)
endif()
