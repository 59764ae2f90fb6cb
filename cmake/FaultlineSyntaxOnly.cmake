# Turns a build into a check: every source is parsed and analysed, no object is written.
#
# Compile rules get -fsyntax-only and touch the file they would have written, link rules only touch it. Ninja then
# keeps its dependency tracking, so a second run looks only at what changed. Warnings are errors (faultline_build),
# which makes this build the gate for thread-safety annotations.

if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  message(FATAL_ERROR "FAULTLINE_SYNTAX_ONLY needs clang: GCC has no thread-safety analysis")
endif()

set(touch "<CMAKE_COMMAND> -E touch")
set(CMAKE_CXX_COMPILE_OBJECT
  "<CMAKE_CXX_COMPILER> <DEFINES> <INCLUDES> <FLAGS> -fsyntax-only <SOURCE>"
  "${touch} <OBJECT>")
set(CMAKE_CXX_ARCHIVE_CREATE "${touch} <TARGET>")
set(CMAKE_CXX_ARCHIVE_FINISH "")
set(CMAKE_CXX_LINK_EXECUTABLE "${touch} <TARGET>")
