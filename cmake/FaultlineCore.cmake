# The core is compiled twice from the same sources (docs/adr/0001-two-builds-of-one-source.md):
#
#   native     faultline_<folder>            real threads and atomics
#   modelled   faultline_<folder>_modelled   fibers under a scheduler; its users see FAULTLINE_MODELLED=1
#
# faultline_core and faultline_core_modelled collect all folders. To put both flavours into one binary, wrap each in a
# static library of your own that links it PRIVATE: the inline namespaces keep the symbols apart.

if(NOT FAULTLINE_SYNTAX_ONLY)
  add_library(faultline_core_pch OBJECT "${PROJECT_SOURCE_DIR}/core/base/pch.cc")
  target_link_libraries(faultline_core_pch PRIVATE faultline_build absl::strings absl::str_format)
  target_precompile_headers(faultline_core_pch PRIVATE ${FAULTLINE_PRECOMPILED})
endif()

add_library(faultline_core INTERFACE)
add_library(faultline_core_modelled INTERFACE)

# faultline_core_library(<folder>
#   [SOURCES ...] [NATIVE_SOURCES ...] [MODELLED_SOURCES ...]   of both flavours, or of one; none: header-only
#   [DEPENDS ...]                                               other folders of core, linked in the same flavour
#   [LIBS ...] [NATIVE_LIBS ...] [MODELLED_LIBS ...])           libraries from outside core
# Everything is PUBLIC, for headers use what their sources use.
function(faultline_core_library folder)
  cmake_parse_arguments(PARSE_ARGV 1 ARG ""
    "" "SOURCES;NATIVE_SOURCES;MODELLED_SOURCES;DEPENDS;LIBS;NATIVE_LIBS;MODELLED_LIBS")
  if(ARG_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "faultline_core_library(${folder}): unknown argument ${ARG_UNPARSED_ARGUMENTS}")
  endif()

  _faultline_flavour("${folder}" ""
    SOURCES ${ARG_SOURCES} ${ARG_NATIVE_SOURCES}
    DEPENDS ${ARG_DEPENDS}
    LIBS ${ARG_LIBS} ${ARG_NATIVE_LIBS})
  if(FAULTLINE_NATIVE_ONLY)
    return()
  endif()
  _faultline_flavour("${folder}" "_modelled"
    SOURCES ${ARG_SOURCES} ${ARG_MODELLED_SOURCES}
    DEPENDS ${ARG_DEPENDS}
    LIBS ${ARG_LIBS} ${ARG_MODELLED_LIBS}
    DEFINES FAULTLINE_MODELLED=1)
endfunction()

function(_faultline_flavour folder suffix)
  cmake_parse_arguments(PARSE_ARGV 2 ARG "" "" "SOURCES;DEPENDS;LIBS;DEFINES")
  set(target "faultline_${folder}${suffix}")
  if(ARG_SOURCES)
    add_library(${target} STATIC ${ARG_SOURCES})
    set(scope PUBLIC)
  else()
    add_library(${target} INTERFACE)
    set(scope INTERFACE)
  endif()
  if(ARG_SOURCES AND NOT FAULTLINE_SYNTAX_ONLY)
    target_precompile_headers(${target} REUSE_FROM faultline_core_pch)
  endif()
  list(TRANSFORM ARG_DEPENDS PREPEND "faultline_")
  list(TRANSFORM ARG_DEPENDS APPEND "${suffix}")
  target_compile_definitions(${target} ${scope} ${ARG_DEFINES})
  target_link_libraries(${target} ${scope} faultline_build ${ARG_DEPENDS} ${ARG_LIBS})
  target_link_libraries(faultline_core${suffix} INTERFACE ${target})
endfunction()
