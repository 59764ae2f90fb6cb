# How a test binary and a bench binary are made. Both land in build/<preset>/tests/<folder>, the mirror of their source.

include(GoogleTest)

set(_faultline_test_timeout 60)
if(NOT FAULTLINE_SANITIZER STREQUAL "none")
  set(_faultline_test_timeout 300)
endif()

# gtest costs most of a small test's compile time, so it is parsed once for all test binaries. The syntax-only build
# goes without and thereby notices a test that forgot to include it.
if(NOT FAULTLINE_SYNTAX_ONLY)
  add_library(faultline_gtest_pch OBJECT "${PROJECT_SOURCE_DIR}/tests/testing/gtest_pch.cc")
  target_link_libraries(faultline_gtest_pch PRIVATE faultline_build GTest::gmock absl::strings absl::str_format)
  target_compile_options(faultline_gtest_pch PRIVATE ${FAULTLINE_LIGHT_OPTIONS})
  target_precompile_headers(faultline_gtest_pch PRIVATE <gmock/gmock.h> <gtest/gtest.h> ${FAULTLINE_PRECOMPILED})
endif()

# faultline_test(<name>
#   FLAVOUR native|modelled|both|none   which core is linked; "both" makes two binaries, <name> and <name>_modelled
#   SOURCES ...
#   [LIBS ...]                          beyond core and gtest
#   [LABELS ...]                        unit (the default), explore, oracle, stress, server, client, e2e; and long
#   [TIMEOUT seconds])                  per test, when the default of 60 (300 under a sanitizer) does not fit
# Each TEST is one test of ctest, called <name>.<Suite>.<Test>.
function(faultline_test name)
  cmake_parse_arguments(PARSE_ARGV 1 ARG "" "FLAVOUR;TIMEOUT" "SOURCES;LIBS;LABELS")
  if(ARG_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "faultline_test(${name}): unknown argument ${ARG_UNPARSED_ARGUMENTS}")
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT ${_faultline_test_timeout})
  endif()
  if(NOT ARG_LABELS)
    set(ARG_LABELS unit)
  endif()

  if(ARG_FLAVOUR MATCHES "^(native|both)$")
    _faultline_test_binary(${name} faultline_core)
  endif()
  if(ARG_FLAVOUR MATCHES "^(modelled|both)$" AND FAULTLINE_NATIVE_ONLY)
    return()
  endif()
  if(ARG_FLAVOUR STREQUAL "modelled")
    _faultline_test_binary(${name} faultline_core_modelled)
  elseif(ARG_FLAVOUR STREQUAL "both")
    _faultline_test_binary(${name}_modelled faultline_core_modelled)
  elseif(ARG_FLAVOUR STREQUAL "none")
    _faultline_test_binary(${name} faultline_build)
  elseif(NOT ARG_FLAVOUR STREQUAL "native")
    message(FATAL_ERROR "faultline_test(${name}): FLAVOUR is '${ARG_FLAVOUR}'; it can be native, modelled, both or none")
  endif()
endfunction()

# Reads ARG_SOURCES, ARG_LIBS, ARG_LABELS and ARG_TIMEOUT of faultline_test.
function(_faultline_test_binary target core)
  add_executable(${target} ${ARG_SOURCES})
  target_compile_options(${target} PRIVATE ${FAULTLINE_LIGHT_OPTIONS})
  target_compile_definitions(${target} PRIVATE "FAULTLINE_SOURCE_DIR=\"${PROJECT_SOURCE_DIR}\"")
  target_link_libraries(${target} PRIVATE ${core} ${ARG_LIBS} GTest::gmock_main GTest::gmock GTest::gtest)
  if(FAULTLINE_SYNTAX_ONLY)
    return()  # There is nothing to run.
  endif()
  target_precompile_headers(${target} REUSE_FROM faultline_gtest_pch)
  gtest_discover_tests(${target}
    TEST_PREFIX "${target}."
    TEST_LIST discovered_tests
    DISCOVERY_TIMEOUT 60
    PROPERTIES TIMEOUT ${ARG_TIMEOUT})
  # gtest_discover_tests cannot pass a list as one property, so ctest sets the labels when it reads the tests.
  set(labels_file "${CMAKE_CURRENT_BINARY_DIR}/${target}_labels.cmake")
  file(CONFIGURE OUTPUT "${labels_file}" @ONLY CONTENT [[
set_tests_properties(${discovered_tests} PROPERTIES LABELS "@ARG_LABELS@")
]])
  set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES "${labels_file}")
endfunction()

# faultline_bench(<name> SOURCES ... [LIBS ...]): a Google Benchmark binary on the native core. Not run by ctest, since
# time on a shared machine is no verdict; docs/benchmarks.md says how figures are taken.
function(faultline_bench name)
  cmake_parse_arguments(PARSE_ARGV 1 ARG "" "" "SOURCES;LIBS")
  if(ARG_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "faultline_bench(${name}): unknown argument ${ARG_UNPARSED_ARGUMENTS}")
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE faultline_core ${ARG_LIBS} benchmark::benchmark)
endfunction()
