# The compile rules of every target, and the three ways to make one.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # Checkouts share their compilations; precompiled headers need the sloppiness.
  set(CMAKE_CXX_COMPILER_LAUNCHER env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1
    CCACHE_SLOPPINESS=pch_defines,time_macros ${CCACHE_PROGRAM})
  set(CMAKE_C_COMPILER_LAUNCHER ${CMAKE_CXX_COMPILER_LAUNCHER})
endif()

# Interface target that every target of ours links: flags live here and nowhere else.
add_library(mortar_flags INTERFACE)
target_include_directories(mortar_flags INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_options(mortar_flags INTERFACE
  -ffp-contract=off       # the numeric contract: an fma stands only where it is written
  -fno-math-errno
  -Wall -Wextra -Wshadow -Wnon-virtual-dtor
  # False alarms of g++ 12 at -O3.
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict;-Wno-maybe-uninitialized>
  $<$<BOOL:${MORTAR_WERROR}>:-Werror>)
if(MORTAR_SANITIZE)
  target_compile_options(mortar_flags INTERFACE
    -fsanitize=${MORTAR_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(mortar_flags INTERFACE -fsanitize=${MORTAR_SANITIZE})
endif()

# mortar_library(NAME folder SRCS ... DEPS ...): the library of one folder.
function(mortar_library)
  cmake_parse_arguments(ARG "" "NAME" "SRCS;DEPS" ${ARGN})
  add_library(${ARG_NAME} STATIC ${ARG_SRCS})
  target_link_libraries(${ARG_NAME} PUBLIC mortar_flags ${ARG_DEPS})
endfunction()

# GoogleTest's headers, compiled once for all tests of a build folder: they are half of what a
# test file costs, and -O1 instead of -O3 half of the rest.
function(mortar_test_headers)
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/test_headers.cc CONTENT "")
  add_library(mortar_test_headers OBJECT ${CMAKE_BINARY_DIR}/test_headers.cc)
  target_precompile_headers(mortar_test_headers PRIVATE <gmock/gmock.h> <gtest/gtest.h>)
  # What uses them are executables, so the code is for those and not for a library.
  set_target_properties(mortar_test_headers PROPERTIES POSITION_INDEPENDENT_CODE OFF)
  target_compile_options(mortar_test_headers PRIVATE -fPIE $<$<CONFIG:RelWithDebInfo>:-O1>)
  target_link_libraries(mortar_test_headers PRIVATE mortar_flags GTest::gmock)
endfunction()

# mortar_test(NAME x SRCS ... DEPS ... [LABEL unit] [SERIAL]): one GoogleTest program, one CTest
# test; ./dev test counts its cases. SERIAL: it measures time, so nothing runs beside it. The target
# tests_labelled_unit builds all programs of a label.
function(mortar_test)
  cmake_parse_arguments(ARG "SERIAL" "NAME;LABEL" "SRCS;DEPS" ${ARGN})
  if(NOT ARG_LABEL)
    set(ARG_LABEL unit)
  endif()
  if(NOT TARGET mortar_test_headers)
    mortar_test_headers()
  endif()
  add_executable(${ARG_NAME} ${ARG_SRCS})
  target_precompile_headers(${ARG_NAME} REUSE_FROM mortar_test_headers)
  target_compile_options(${ARG_NAME} PRIVATE $<$<CONFIG:RelWithDebInfo>:-O1>)
  target_link_libraries(${ARG_NAME} PRIVATE mortar_flags ${ARG_DEPS} GTest::gmock GTest::gtest_main)
  target_compile_definitions(${ARG_NAME} PRIVATE
    MORTAR_TEST_DATA="${CMAKE_SOURCE_DIR}/tests/data"
    MORTAR_SOURCE_DIR="${CMAKE_SOURCE_DIR}"
    MORTAR_BINARY="${CMAKE_BINARY_DIR}/mortar")
  add_test(NAME ${ARG_NAME} COMMAND ${ARG_NAME})
  if(NOT TARGET tests_labelled_${ARG_LABEL})
    add_custom_target(tests_labelled_${ARG_LABEL})
  endif()
  add_dependencies(tests_labelled_${ARG_LABEL} ${ARG_NAME})
  set_tests_properties(${ARG_NAME} PROPERTIES LABELS "${ARG_LABEL};gtest" TIMEOUT 600
    RUN_SERIAL ${ARG_SERIAL})
endfunction()
