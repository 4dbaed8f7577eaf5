# The build vocabulary of this repository.
#
#   fedwatt_library(name SRCS a.cc ... [DEPS ...] [PRIVATE_DEPS ...])
#     Target fedwatt_<name>. Without SRCS it is a header-only library.
#   fedwatt_executable(name SRCS main.cc ... [DEPS ...])
#     Target <name>, written to <build>/bin/<name>.
#   fedwatt_test(name SRCS x_test.cc ... [DEPS ...] [LABELS ...] [TIMEOUT seconds] [BINARIES ...])
#     GoogleTest program <build>/bin/tests/<name>; each of its tests is one ctest test. Tests run
#     in the source root with FEDWATT_BIN_DIR=<build>/bin; BINARIES are the executables that the
#     test spawns.
#   fedwatt_add_subdirectories(dir ...)
#     Adds the given folders and every folder below them that has a CMakeLists.txt, so that a new
#     folder needs no edit elsewhere. Projects of their own (cmake_minimum_required) are left out:
#     examples are built against what is installed.
#
# A dependency is another library by its short name (base), or any target (absl::status). Include
# paths start at the source root: #include "common/base/clock.h".

include(GoogleTest)

function(_fedwatt_resolve out)
  set(resolved "")
  foreach(dep IN LISTS ARGN)
    if(dep MATCHES "::|^fedwatt_|^-|^/|^\\$<")
      list(APPEND resolved "${dep}")
    else()
      list(APPEND resolved "fedwatt_${dep}")
    endif()
  endforeach()
  set(${out} "${resolved}" PARENT_SCOPE)
endfunction()

function(_fedwatt_compile_options target)
  # Designated initialisers leave out what keeps its default; g++ 12 warns about that.
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wno-missing-field-initializers
      $<$<CXX_COMPILER_ID:Clang>:-Wthread-safety>
      $<$<BOOL:${FEDWATT_WERROR}>:-Werror>)
endfunction()

function(fedwatt_library name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SRCS;DEPS;PUBLIC_DEPS;PRIVATE_DEPS")
  _fedwatt_resolve(deps ${arg_DEPS} ${arg_PUBLIC_DEPS})
  _fedwatt_resolve(private_deps ${arg_PRIVATE_DEPS})
  set(target fedwatt_${name})
  if(arg_SRCS)
    add_library(${target} STATIC ${arg_SRCS})
    target_include_directories(${target} PUBLIC "${CMAKE_SOURCE_DIR}")
    target_link_libraries(${target} PUBLIC ${deps} PRIVATE ${private_deps})
    _fedwatt_compile_options(${target})
  else()
    add_library(${target} INTERFACE)
    target_include_directories(${target} INTERFACE "${CMAKE_SOURCE_DIR}")
    target_link_libraries(${target} INTERFACE ${deps} ${private_deps})
  endif()
endfunction()

function(fedwatt_executable name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SRCS;DEPS")
  _fedwatt_resolve(deps ${arg_DEPS})
  add_executable(${name} ${arg_SRCS})
  target_include_directories(${name} PRIVATE "${CMAKE_SOURCE_DIR}")
  target_link_libraries(${name} PRIVATE ${deps})
  _fedwatt_compile_options(${name})
endfunction()

# GoogleTest's main, with a folder of its own for every process.
function(_fedwatt_test_main)
  if(NOT TARGET fedwatt_test_main)
    add_library(fedwatt_test_main STATIC "${CMAKE_SOURCE_DIR}/tests/test_main.cc")
    target_link_libraries(fedwatt_test_main PUBLIC GTest::gmock GTest::gtest)
    _fedwatt_compile_options(fedwatt_test_main)
  endif()
endfunction()

function(fedwatt_test name)
  _fedwatt_test_main()
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "TIMEOUT" "SRCS;DEPS;LABELS;BINARIES")
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()
  fedwatt_executable(${name} SRCS ${arg_SRCS}
                     DEPS ${arg_DEPS} test_main)
  set_target_properties(${name} PROPERTIES
      RUNTIME_OUTPUT_DIRECTORY "${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/tests")
  if(arg_BINARIES)
    add_dependencies(${name} ${arg_BINARIES})
  endif()
  set(properties TIMEOUT ${arg_TIMEOUT}
      ENVIRONMENT "FEDWATT_BIN_DIR=${CMAKE_RUNTIME_OUTPUT_DIRECTORY}")
  if(arg_LABELS)
    list(JOIN arg_LABELS "\\;" labels)
    list(APPEND properties LABELS "${labels}")
  endif()
  gtest_discover_tests(${name}
      DISCOVERY_MODE PRE_TEST
      DISCOVERY_TIMEOUT 60
      NO_PRETTY_VALUES
      WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}"
      PROPERTIES ${properties})
endfunction()

function(fedwatt_add_subdirectories)
  foreach(root IN LISTS ARGN)
    file(GLOB_RECURSE lists CONFIGURE_DEPENDS
         "${CMAKE_CURRENT_SOURCE_DIR}/${root}/CMakeLists.txt")
    list(SORT lists)
    foreach(list_file IN LISTS lists)
      cmake_path(GET list_file PARENT_PATH dir)
      get_property(added GLOBAL PROPERTY FEDWATT_DIRECTORIES)
      file(STRINGS "${list_file}" own_project REGEX "^cmake_minimum_required")
      if(NOT own_project AND NOT dir IN_LIST added)
        set_property(GLOBAL APPEND PROPERTY FEDWATT_DIRECTORIES "${dir}")
        add_subdirectory("${dir}")
      endif()
    endforeach()
  endforeach()
endfunction()
