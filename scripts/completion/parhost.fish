# SPDX-License-Identifier: MIT
# Completion of parhost in fish.

# The first word that is neither option nor an option's text.
function __parhost_script
    set -l words (commandline -opc)
    set -e words[1]
    while set -q words[1]
        switch $words[1]
            case -e -l -j --workers --trace
                set -e words[1]
            case '-?*'
            case '*'
                echo $words[1]
                return 0
        end
        set -e words[1]
    end
    return 1
end

function __parhost_pids
    set -l program (commandline -opc)[1]
    $program ps --timeout 0.2 2>/dev/null | string replace -r -f '^ *(\d+) .* (\S+)$' '$1\t$2'
end

function __parhost_modules
    set -l program (commandline -opc)[1]
    set -l word (string match -r '^(?:.*=)?' -- (commandline -ct))
    $program setup --modules (string replace -r '^.*=' '' -- (commandline -ct)) 2>/dev/null | string replace -r '^' -- $word
end

complete -c parhost -n 'not __parhost_script' -s e -x -d 'Execute a string'
complete -c parhost -n 'not __parhost_script' -s i -d 'Enter interactive mode after the script'
complete -c parhost -n 'not __parhost_script' -s l -x -a '(__parhost_modules)' -d 'Require a library'
complete -c parhost -n 'not __parhost_script' -s v -d 'Show version information'
complete -c parhost -n 'not __parhost_script' -s E -d 'Ignore environment variables'
complete -c parhost -n 'not __parhost_script' -s W -d 'Turn warnings on'
complete -c parhost -n 'not __parhost_script' -s j -l workers -x -d 'Default number of workers'
complete -c parhost -n 'not __parhost_script' -l trace -r -F -d 'Write a trace'
complete -c parhost -n 'not __parhost_script' -l stats -d 'Tell at the end what was done'
complete -c parhost -n 'not __parhost_script' -l dashboard -d 'Show what happens in a browser'
complete -c parhost -n 'not __parhost_script' -l progress -d 'Show how far the pools have come'
complete -c parhost -n 'not __parhost_script' -l tag -d 'Put the name of the worker in front of what it prints'
complete -c parhost -n 'not __parhost_script' -s h -l help -d 'Show the options'
complete -c parhost -n 'not __parhost_script' -s V -l version -d 'Show the versions in use'
complete -c parhost -n 'not __parhost_script' -f -a report -d 'Make a page of a trace'
complete -c parhost -n 'not __parhost_script' -f -a setup -d 'Tell the tools of an editor about parhost'
complete -c parhost -n 'not __parhost_script' -f -a ps -d 'What runs, and what it does'
complete -c parhost -n 'not __parhost_script' -f -a dump -d 'Stacks of a running program'
complete -c parhost -n 'not __parhost_script' -f -a test -d 'Run busted'
complete -c parhost -n 'not __parhost_script' -k -f -a '(__fish_complete_suffix .lua)'
complete -c parhost -n 'test "$(__parhost_script)" = setup' -f -a '(__fish_complete_directories)'
complete -c parhost -n 'test "$(__parhost_script)" = setup' -l luacheck -d 'Write .luacheckrc in place of .luarc.json'
complete -c parhost -n 'test "$(__parhost_script)" = setup' -l print -d 'Show the file and write nothing'
complete -c parhost -n 'test "$(__parhost_script)" = setup' -l modules -x -a '(__parhost_modules)' -d 'List modules'
complete -c parhost -n 'test "$(__parhost_script)" = setup' -s h -l help -d 'Show the options'
complete -c parhost -n 'test "$(__parhost_script)" = report' -s o -r -F -d 'The page to write'
complete -c parhost -n 'test "$(__parhost_script)" = report' -s h -l help -d 'Show the options'
complete -c parhost -n 'test "$(__parhost_script)" = report' -k -f -a '(__fish_complete_suffix .json)'
complete -c parhost -n 'contains -- "$(__parhost_script)" ps dump' -f -a '(__parhost_pids)'
complete -c parhost -n 'contains -- "$(__parhost_script)" ps dump' -l json -d 'Write JSON'
complete -c parhost -n 'contains -- "$(__parhost_script)" ps dump' -l timeout -x -d 'Seconds to wait'
complete -c parhost -n 'contains -- "$(__parhost_script)" ps dump' -s h -l help -d 'Show the options'
complete -c parhost -n 'test "$(__parhost_script)" = test' -k -f -a '(__fish_complete_suffix .lua)'
