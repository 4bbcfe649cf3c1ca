# SPDX-License-Identifier: MIT
# Completion of parhost in bash.

# The words up to the cursor, into array `words`; bash takes them apart at "=".
_parhost_words() {
  local i part
  words=()
  for ((i = 0; i <= COMP_CWORD; i++)); do
    part=${COMP_WORDS[i]}
    if ((i > 1)) && [[ $part == "=" || ${COMP_WORDS[i - 1]} == "=" ]]; then
      words[${#words[@]} - 1]+=$part
    else
      words+=("$part")
    fi
  done
}

# The first word that is neither option nor an option's text, into `script`, and its place into `at`.
_parhost_script() {
  script=
  for ((at = 1; at < ${#words[@]} - 1; at++)); do
    case ${words[at]} in
      -e | -l | -j | --workers | --trace) ((at++)) ;;
      --) script=${words[at + 1]:-.}; return ;;
      -?*) ;;
      *) script=${words[at]}; return ;;
    esac
  done
}

# The programs that run.
_parhost_pids() {
  "$1" ps --timeout 0.2 2>/dev/null | sed -n 's/^ *\([0-9]\{1,\}\) .*/\1/p'
}

_parhost_scripts() {
  compopt -o filenames 2>/dev/null
  local IFS=$'\n'
  COMPREPLY+=($(compgen -f -X '!*.lua' -- "$current") $(compgen -d -- "$current"))
}

_parhost() {
  local words script at current previous
  _parhost_words
  _parhost_script
  current=${words[${#words[@]} - 1]} previous=${words[${#words[@]} - 2]}
  COMPREPLY=()
  if [[ -z $script ]]; then
    case $previous in
      -l) COMPREPLY=($("${words[0]}" setup --modules "${current#*=}" 2>/dev/null)); return ;;
      -e | -j | --workers) return ;;
      --trace) compopt -o default 2>/dev/null; return ;;
    esac
    case $current in
      -*) COMPREPLY=($(compgen -W "-e -i -l -v -E -W -j --workers --progress --tag --trace --stats --dashboard -h --help -V --version -- -" -- "$current")) ;;
      *)
        COMPREPLY=($(compgen -W "dump ps report setup test" -- "$current"))
        _parhost_scripts ;;
    esac
  elif [[ $script == setup && ${words[at]} == setup ]]; then
    case $current in
      -*) COMPREPLY=($(compgen -W "--luacheck --print --modules -h --help" -- "$current")) ;;
      *)
        compopt -o filenames 2>/dev/null
        COMPREPLY=($(compgen -d -- "$current")) ;;
    esac
  elif [[ $script == report && ${words[at]} == report ]]; then
    case $current in
      -*) COMPREPLY=($(compgen -W "-o -h --help" -- "$current")) ;;
      *)
        compopt -o filenames 2>/dev/null
        COMPREPLY=($(compgen -f -X '!*.json' -- "$current") $(compgen -d -- "$current")) ;;
    esac
  elif [[ $script == @(ps|dump) && ${words[at]} == "$script" ]]; then
    [[ $previous == --timeout ]] && return
    case $current in
      -*) COMPREPLY=($(compgen -W "--json --timeout -h --help" -- "$current")) ;;
      *) COMPREPLY=($(compgen -W "$(_parhost_pids "${words[0]}")" -- "$current")) ;;
    esac
  elif [[ $script == test && ${words[at]} == test && $current != -* ]]; then
    _parhost_scripts
  else
    compopt -o default 2>/dev/null
  fi
} && complete -F _parhost parhost
