# The compile rules of every target, and the three ways to make one.

# The checkout, whichever project of it this is.
get_filename_component(mortar_root ${CMAKE_CURRENT_LIST_DIR} DIRECTORY)

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # Checkouts share their compilations; precompiled headers need the sloppiness.
  set(CMAKE_CXX_COMPILER_LAUNCHER env CCACHE_BASEDIR=${mortar_root} CCACHE_NOHASHDIR=1
    CCACHE_SLOPPINESS=pch_defines,time_macros ${CCACHE_PROGRAM})
  set(CMAKE_C_COMPILER_LAUNCHER ${CMAKE_CXX_COMPILER_LAUNCHER})
endif()

# Interface target that every target of ours links: flags live here and nowhere else.
add_library(mortar_flags INTERFACE)
target_include_directories(mortar_flags INTERFACE ${mortar_root})
target_compile_options(mortar_flags INTERFACE
  -ffp-contract=off       # the numeric contract: an fma stands only where it is written
  -fno-math-errno
  -Wall -Wextra -Wshadow -Wnon-virtual-dtor
  # Precompiled headers by their content, as ccache compares them.
  $<$<CXX_COMPILER_ID:Clang>:SHELL:-Xclang -fno-pch-timestamp>
  # False alarms of g++ 12 at -O3, in std::string; with precompiled headers it forgets that these
  # are the system's.
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict;-Wno-maybe-uninitialized>
  $<$<CXX_COMPILER_ID:GNU>:-Wno-array-bounds;-Wno-stringop-overflow>
  $<$<BOOL:${MORTAR_WERROR}>:-Werror>)
if(MORTAR_SANITIZE)
  target_compile_options(mortar_flags INTERFACE
    -fsanitize=${MORTAR_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(mortar_flags INTERFACE -fsanitize=${MORTAR_SANITIZE})
  # For tests of what a sanitizer takes for itself: memory, and limits of it.
  target_compile_definitions(mortar_flags INTERFACE MORTAR_SANITIZED)
endif()

# What nearly every file includes, compiled once: Abseil's status alone is half of what a file of
# ours costs. A header of this list is still included by whoever needs it: clang-tidy reads without it.
set(mortar_common_headers <absl/status/statusor.h> <algorithm> <cstdint> <functional> <memory>
  <optional> <string> <string_view> <utility> <variant> <vector>)

# mortar_precompiled(NAME x HEADERS ... [OPTIONS ...] [DEPS ...]): a target that others reuse.
function(mortar_precompiled)
  cmake_parse_arguments(ARG "" "NAME" "HEADERS;OPTIONS;DEPS" ${ARGN})
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/${ARG_NAME}.cc CONTENT "")
  add_library(${ARG_NAME} OBJECT ${CMAKE_BINARY_DIR}/${ARG_NAME}.cc)
  target_precompile_headers(${ARG_NAME} PRIVATE ${ARG_HEADERS})
  target_compile_options(${ARG_NAME} PRIVATE ${ARG_OPTIONS})
  target_link_libraries(${ARG_NAME} PRIVATE mortar_flags ${ARG_DEPS})
endfunction()

# mortar_library(NAME folder SRCS ... DEPS ...): the library of one folder.
function(mortar_library)
  cmake_parse_arguments(ARG "" "NAME" "SRCS;DEPS" ${ARGN})
  if(NOT TARGET mortar_headers)
    mortar_precompiled(NAME mortar_headers HEADERS ${mortar_common_headers} DEPS absl::statusor)
  endif()
  add_library(${ARG_NAME} STATIC ${ARG_SRCS})
  target_precompile_headers(${ARG_NAME} REUSE_FROM mortar_headers)
  target_link_libraries(${ARG_NAME} PUBLIC mortar_flags ${ARG_DEPS})
endfunction()

# Optimising tests costs more than it saves, with sanitizers above all.
if(MORTAR_SANITIZE)
  set(mortar_test_options -O0)
else()
  set(mortar_test_options $<$<CONFIG:RelWithDebInfo>:-O1>)
endif()

# With GoogleTest, for all tests of a build folder.
function(mortar_test_headers)
  mortar_precompiled(NAME mortar_test_headers
    HEADERS ${mortar_common_headers} <gmock/gmock.h> <gtest/gtest.h>
    OPTIONS -fPIE ${mortar_test_options} DEPS absl::statusor GTest::gmock)
  # What uses them are executables, so the code is for those and not for a library.
  set_target_properties(mortar_test_headers PROPERTIES POSITION_INDEPENDENT_CODE OFF)
endfunction()

# mortar_test(NAME x SRCS ... DEPS ... [LABEL unit] [SERIAL] [WAITS]): one GoogleTest program, one
# CTest test; ./dev test counts its cases. SERIAL: it measures time, so nothing runs beside it. WAITS:
# most of its time passes in waiting, so it takes half of a core's place. The target
# tests_labelled_unit builds all programs of a label.
function(mortar_test)
  cmake_parse_arguments(ARG "SERIAL;WAITS" "NAME;LABEL" "SRCS;DEPS" ${ARGN})
  if(NOT ARG_LABEL)
    set(ARG_LABEL unit)
  endif()
  if(NOT TARGET mortar_test_headers)
    mortar_test_headers()
  endif()
  add_executable(${ARG_NAME} ${ARG_SRCS})
  target_precompile_headers(${ARG_NAME} REUSE_FROM mortar_test_headers)
  target_compile_options(${ARG_NAME} PRIVATE ${mortar_test_options})
  target_link_libraries(${ARG_NAME} PRIVATE mortar_flags ${ARG_DEPS} GTest::gmock GTest::gtest_main)
  target_compile_definitions(${ARG_NAME} PRIVATE
    MORTAR_TEST_DATA="${mortar_root}/tests/data"
    MORTAR_SOURCE_DIR="${mortar_root}"
    MORTAR_BINARY="${CMAKE_BINARY_DIR}/mortar")
  add_test(NAME ${ARG_NAME} COMMAND ${ARG_NAME})
  if(NOT TARGET tests_labelled_${ARG_LABEL})
    add_custom_target(tests_labelled_${ARG_LABEL})
  endif()
  add_dependencies(tests_labelled_${ARG_LABEL} ${ARG_NAME})
  # The longest start first, so that the last core is not left alone with one of them.
  set(cost_long 3)
  set(cost_golden 2)
  set(cost_integration 1)
  set(cost 0)
  if(DEFINED cost_${ARG_LABEL})
    set(cost ${cost_${ARG_LABEL}})
  endif()
  set(processors 2)  # halves of a core, of which ./dev test gives out as many as there are
  if(ARG_WAITS)
    set(processors 1)
  endif()
  set_tests_properties(${ARG_NAME} PROPERTIES LABELS "${ARG_LABEL};gtest" TIMEOUT 600
    COST ${cost} RUN_SERIAL ${ARG_SERIAL} PROCESSORS ${processors})
endfunction()
