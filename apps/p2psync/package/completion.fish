# Completion for fish. What there is to complete is asked of the program's own help texts.

function __p2psync_commands
    p2psync --help | sed -nE '/^Subcommands:/,$s/^  ([a-z-]+) +(.*)/\1\t\2/p'
end

function __p2psync_options
    set -l given (commandline -opc)[2..-1]
    set -l command (string match -rv -- '^-' $given)[1]
    p2psync $command --help 2>/dev/null | sed -nE 's/^  (-[a-z],)?(--[a-z-]+) .*  +(.*)/\2\t\3/p; t
                                                   s/^  (-[a-z],)?(--[a-z-]+).*/\2/p'
end

complete -c p2psync -f -n __fish_use_subcommand -a '(__p2psync_commands)'
complete -c p2psync -n 'string match -q -- "-*" (commandline -ct)' -f -a '(__p2psync_options)'
