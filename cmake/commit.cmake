# Writes ${OUT}: a header with the version of the code, as the repository in ${SOURCE} knows it: the
# last commit that changed what programs are made of, and a hash of what was changed since. Without a
# repository it is empty. The file is touched only if that differs.

set(paths CMakeLists.txt client cmake common proto server simulation)

function(git out)
  execute_process(COMMAND git -C "${SOURCE}" ${ARGN} OUTPUT_VARIABLE text ERROR_QUIET
                  RESULT_VARIABLE failed OUTPUT_STRIP_TRAILING_WHITESPACE)
  if(failed)
    set(text "")
  endif()
  set(${out} "${text}" PARENT_SCOPE)
endfunction()

set(version "")
# A repository around this folder is not ours.
git(prefix rev-parse --show-cdup)
if(EXISTS "${SOURCE}/.git" AND prefix STREQUAL "")
  git(version log -1 --format=%h --abbrev=12 -- ${paths})
  git(changes diff HEAD -- ${paths})
  if(version AND changes)
    string(SHA256 hash "${changes}")
    string(SUBSTRING "${hash}" 0 8 hash)
    string(APPEND version "+${hash}")
  endif()
endif()

set(text "#pragma once\n\ninline constexpr char kCommit[] = \"${version}\";\n")
set(before "")
if(EXISTS "${OUT}")
  file(READ "${OUT}" before)
endif()
if(NOT before STREQUAL text)
  file(WRITE "${OUT}" "${text}")
endif()
