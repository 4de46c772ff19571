#compdef p2psync
# Completion for zsh. What there is to complete is asked of the program's own help texts.

_p2psync() {
  local command='' given
  for given in "${(@)words[2,CURRENT-1]}"; do
    if [[ $given != -* ]]; then
      command=$given
      break
    fi
  done
  local help
  help=$(p2psync ${command:+"$command"} --help 2>/dev/null) || return 1
  local -a commands options
  # NAME:TEXT, and of an option both of its names.
  commands=(${(f)"$(sed -nE '/^Subcommands:/,$s/^  ([a-z-]+) +/\1:/p' <<<$help)"})
  options=(${(f)"$(sed -nE 'h; s/^  (-[a-z]),--.*  +(.*)/\1:\2/p; g; t again
                            :again; s/^  (-[a-z],)?(--[a-z-]+) .*  +(.*)/\2:\3/p; t
                            s/^  (-[a-z],)?(--[a-z-]+).*/\2/p' <<<$help)"})
  if [[ -z $command ]]; then
    _describe -t commands command commands
    _describe -o -t options option options
  elif [[ $words[CURRENT] == -* ]]; then
    _describe -o -t options option options
  else
    case $(sed -nE "s/^  (-[a-z],)?${words[CURRENT-1]}(,--[a-z-]+)? ([A-Z]+)[^a-z].*/\3/p" <<<$help) in
      '' | FILE) _files ;;
      DIR) _files -/ ;;
      *) _message value ;;
    esac
  fi
}
_p2psync "$@"
