# The compile rules of every target, and the three ways to make one.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
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

# mortar_test(NAME x SRCS ... DEPS ... [LABEL unit]): one GoogleTest program; each
# test case becomes a CTest test of its own.
function(mortar_test)
  cmake_parse_arguments(ARG "" "NAME;LABEL" "SRCS;DEPS" ${ARGN})
  if(NOT ARG_LABEL)
    set(ARG_LABEL unit)
  endif()
  add_executable(${ARG_NAME} ${ARG_SRCS})
  target_link_libraries(${ARG_NAME} PRIVATE mortar_flags ${ARG_DEPS} GTest::gmock GTest::gtest_main)
  target_compile_definitions(${ARG_NAME} PRIVATE
    MORTAR_TEST_DATA="${CMAKE_SOURCE_DIR}/tests/data"
    MORTAR_SOURCE_DIR="${CMAKE_SOURCE_DIR}"
    MORTAR_BINARY="${CMAKE_BINARY_DIR}/mortar")
  add_test(NAME ${ARG_NAME} COMMAND ${ARG_NAME})
  set_tests_properties(${ARG_NAME} PROPERTIES LABELS "${ARG_LABEL};gtest" TIMEOUT 600)
endfunction()
