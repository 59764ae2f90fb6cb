# What every target of the project is compiled with.
#
#   faultline_build     interface target: C++20, the repository root as include root, warnings as errors.
#                       Every library, test and bench links it; nothing sets compiler flags of its own.
#
# Sanitizers are directory-wide instead, because all objects of a binary must agree on them.

set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

# Enough debug information for backtraces and profiles, little enough for quick links.
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1 -DNDEBUG")

add_library(faultline_build INTERFACE)
target_compile_features(faultline_build INTERFACE cxx_std_20)
target_include_directories(faultline_build INTERFACE "${PROJECT_SOURCE_DIR}")
target_compile_options(faultline_build INTERFACE
  -Wall -Wextra -Wpedantic -Werror
  -Wcast-align -Wcast-qual -Wconversion -Wextra-semi -Wimplicit-fallthrough -Wmissing-declarations
  -Wnon-virtual-dtor -Wold-style-cast -Woverloaded-virtual -Wshadow -Wundef -Wvla
  # Reports name files from the project's root on, wherever it was built.
  "-fmacro-prefix-map=${PROJECT_SOURCE_DIR}/="
  # -Wsign-conversion stays off: it flags every index and size without finding the narrowing that -Wconversion finds.
)

if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(faultline_build INTERFACE
    -Wduplicated-branches -Wduplicated-cond -Wlogical-op
    -Wno-restrict)  # GCC 12 reports std::string operations that are fine (GCC bug 105329).
  if(NOT FAULTLINE_SANITIZER STREQUAL "none")
    # Instrumentation hides initialisations and bounds from the optimizer; release has these on.
    target_compile_options(faultline_build INTERFACE
      -Wno-maybe-uninitialized -Wno-array-bounds -Wno-stringop-overflow)
  endif()
elseif(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  target_compile_options(faultline_build INTERFACE
    -Wthread-safety -Wno-thread-safety-beta
    -Wimplicit-int-conversion -Wunreachable-code-break -Wunused-template
    -Wno-sign-conversion)  # Part of clang's -Wconversion, see above.
endif()

if(FAULTLINE_SANITIZER STREQUAL "address")
  set(sanitizer_flags -fsanitize=address,undefined -fno-sanitize-recover=all)
elseif(FAULTLINE_SANITIZER STREQUAL "thread")
  set(sanitizer_flags -fsanitize=thread)
elseif(NOT FAULTLINE_SANITIZER STREQUAL "none")
  message(FATAL_ERROR "FAULTLINE_SANITIZER is '${FAULTLINE_SANITIZER}'; it can be none, address or thread")
endif()
# A modelled program is one thread, in which the thread sanitizer has nothing to see; preset asan runs all of them.
set(FAULTLINE_NATIVE_ONLY OFF)
if(FAULTLINE_SANITIZER STREQUAL "thread")
  set(FAULTLINE_NATIVE_ONLY ON)
endif()
# Tests and programs are mostly library templates, in which these checks take half of the compiler's time. The libraries
# of core have them all; a wrong pointer is the address sanitizer's to find.
set(FAULTLINE_LIGHT_OPTIONS "")
if(FAULTLINE_SANITIZER STREQUAL "address")
  set(FAULTLINE_LIGHT_OPTIONS -fno-sanitize=alignment,null,object-size,vptr)
endif()
if(NOT FAULTLINE_SANITIZER STREQUAL "none")
  add_compile_options(${sanitizer_flags} -fno-omit-frame-pointer)
  add_link_options(${sanitizer_flags})
endif()

if(FAULTLINE_SYNTAX_ONLY)
  include(FaultlineSyntaxOnly)
  return()
endif()

find_program(CCACHE ccache)
if(CCACHE)
  # The sloppiness lets ccache serve files that use a precompiled header.
  set(CMAKE_CXX_COMPILER_LAUNCHER
    "${CMAKE_COMMAND}" -E env CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
    "${CCACHE}")
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-fpch-preprocess)
  endif()
endif()

# What most sources of core include from outside takes most of their compile time, so it is parsed once. The syntax-only
# build goes without and thereby notices a source that forgot to include something.
set(FAULTLINE_PRECOMPILED
  <absl/strings/str_cat.h> <absl/strings/str_format.h>
  <algorithm> <array> <atomic> <bit> <concepts> <cstddef> <cstdint> <cstdio> <cstdlib> <cstring> <functional> <memory>
  <mutex> <new> <optional> <span> <string> <string_view> <type_traits> <utility> <variant> <vector>)
