# The program's version header, its share folder in the build tree, man page, completions, and what is installed.

# The commit may change without any source changing: looked at in every build, written only when it did.
add_custom_target(retort_version
  COMMAND ${CMAKE_COMMAND} -DSOURCE=${CMAKE_SOURCE_DIR} -DVERSION=${PROJECT_VERSION} -DOUT=${CMAKE_BINARY_DIR}/generated/version.h
          -P ${CMAKE_SOURCE_DIR}/cmake/version.cmake
  BYPRODUCTS ${CMAKE_BINARY_DIR}/generated/version.h)
add_dependencies(retort retort_version)
target_include_directories(retort PRIVATE ${CMAKE_BINARY_DIR})

# core/share.c finds share/retort beside the program in the build tree and below the prefix once installed.
file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/share/retort)
file(CREATE_LINK ${CMAKE_SOURCE_DIR}/experiments/teacher/model ${CMAKE_BINARY_DIR}/share/retort/teacher SYMBOLIC)
file(CREATE_LINK ${CMAKE_SOURCE_DIR}/configs ${CMAKE_BINARY_DIR}/share/retort/configs SYMBOLIC)

# The program itself writes its man page and completions, from the tables that --help shows.
set(pages ${CMAKE_BINARY_DIR}/pages)
file(MAKE_DIRECTORY ${pages})
set(make_pages COMMAND retort man > ${pages}/retort.1)
foreach(shell bash zsh fish)
  list(APPEND make_pages COMMAND retort completions ${shell} > ${pages}/retort.${shell})
endforeach()
add_custom_command(OUTPUT ${pages}/retort.1 ${pages}/retort.bash ${pages}/retort.zsh ${pages}/retort.fish
  ${make_pages} DEPENDS retort VERBATIM)
add_custom_target(retort_pages ALL DEPENDS ${pages}/retort.1)

install(TARGETS retort RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY configs DESTINATION share/retort)
install(DIRECTORY experiments/teacher/model/ DESTINATION share/retort/teacher OPTIONAL)
install(FILES LICENSE NOTICE README.md data/FORMAT.md DESTINATION share/doc/retort)
install(DIRECTORY docs DESTINATION share/doc/retort)
install(FILES ${pages}/retort.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${pages}/retort.bash DESTINATION share/bash-completion/completions RENAME retort)
install(FILES ${pages}/retort.zsh DESTINATION share/zsh/site-functions RENAME _retort)
install(FILES ${pages}/retort.fish DESTINATION share/fish/vendor_completions.d)
