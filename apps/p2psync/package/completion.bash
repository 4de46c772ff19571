# Completion for bash. What there is to complete is asked of the program's own help texts.

_p2psync() {
  local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} command='' i
  for ((i = 1; i < COMP_CWORD; ++i)); do
    if [[ ${COMP_WORDS[i]} != -* ]]; then
      command=${COMP_WORDS[i]}
      break
    fi
  done
  local help value words
  help=$(p2psync ${command:+"$command"} --help 2>/dev/null) || return
  value=$(sed -nE "s/^  (-[a-z],)?(--[a-z-]+) ([A-Z]+)[^a-z].*/\2 \3/p; s/^  (-[a-z]),--[a-z-]+ ([A-Z]+)[^a-z].*/\1 \2/p" \
          <<<"$help" | sed -n "s/^$previous //p")
  words=$(sed -nE 's/^  (-[a-z]),(--[a-z-]+).*/\1 \2/p; s/^  (--[a-z-]+).*/\1/p' <<<"$help")
  COMPREPLY=()
  if [[ -z $command ]]; then
    words+=" $(sed -nE '/^Subcommands:/,$s/^  ([a-z-]+) .*/\1/p' <<<"$help")"
  elif [[ $word != -* ]]; then
    case $value in
      '' | FILE) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
      DIR) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$word") ;;
    esac
    return
  fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -F _p2psync p2psync
