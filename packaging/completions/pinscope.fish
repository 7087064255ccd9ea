# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_pinscope_global_optspecs
    string join \n log= h/help V/version
end

function __fish_pinscope_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_pinscope_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_pinscope_using_subcommand
    set -l cmd (__fish_pinscope_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c pinscope -n "__fish_pinscope_needs_command" -l log -d 'What is logged: error, warn, info, debug, trace, or per module as in `RUST_LOG`' -r
complete -c pinscope -n "__fish_pinscope_needs_command" -s h -l help -d 'Print help'
complete -c pinscope -n "__fish_pinscope_needs_command" -s V -l version -d 'Print version'
complete -c pinscope -n "__fish_pinscope_needs_command" -f -a "run" -d 'Attach to the running kernel, judge, and export metrics'
complete -c pinscope -n "__fish_pinscope_needs_command" -f -a "record" -d 'Run, and write what the kernel sends to a file that can be replayed'
complete -c pinscope -n "__fish_pinscope_needs_command" -f -a "replay" -d 'Judge a recording, or a trace of the model, with the code that judges live'
complete -c pinscope -n "__fish_pinscope_needs_command" -f -a "pins" -d 'Ask the running agent who holds pins: how much, since when, and on whose behalf'
complete -c pinscope -n "__fish_pinscope_needs_command" -f -a "census" -d 'Look at every page of the machine, and say what is pinned now, whoever pinned it and when'
complete -c pinscope -n "__fish_pinscope_needs_command" -f -a "verdicts" -d 'Ask the running agent how good each estimator is'
complete -c pinscope -n "__fish_pinscope_needs_command" -f -a "config" -d 'Look for mistakes in the configuration file, or show which settings are in force'
complete -c pinscope -n "__fish_pinscope_needs_command" -f -a "doctor" -d 'Say what would work on this host and what is missing, changing nothing'
complete -c pinscope -n "__fish_pinscope_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c pinscope -n "__fish_pinscope_using_subcommand run" -l config -d 'Configuration file, in TOML: its keys are the flags here, without the dashes. A flag wins over a variable, and both over the file. If nothing is said it is /etc/pinscope/pinscope.toml, if that is there. SIGHUP has it read again' -r -F
complete -c pinscope -n "__fish_pinscope_using_subcommand run" -l listen -d 'Address that serves `/metrics`' -r
complete -c pinscope -n "__fish_pinscope_using_subcommand run" -l web-config -d 'File that asks for TLS and passwords, in the format of Prometheus\' exporter-toolkit. It is read again when it or its certificate changes' -r -F
complete -c pinscope -n "__fish_pinscope_using_subcommand run" -l duration -d 'End by itself after this time, with a summary (30s, 5m, 1h)' -r
complete -c pinscope -n "__fish_pinscope_using_subcommand run" -l attach -d 'How to attach: fentry is cheaper, kprobe works on more kernels' -r -f -a "auto\t'fentry where the kernel allows it, kprobe otherwise'
fentry\t'BPF trampolines only'
kprobe\t'kprobes and kretprobes only'"
complete -c pinscope -n "__fish_pinscope_using_subcommand run" -l writeback-hooks -d 'When the hooks on writeback\'s walks and on unmaps are attached. They serve the estimators alone, and cost whoever unmaps memory or writes files' -r -f -a "auto\t'While a folio is pinned of a file that writeback cleans, and a calm time longer'
always\t'From start to end: every walk is seen'
never\t'For the self-test at the start only: no walk is judged'"
complete -c pinscope -n "__fish_pinscope_using_subcommand run" -l writeback-calm -d 'With `--writeback-hooks auto`: how long they stay after the last pin of a file\'s page. Shorter than writeback takes to come to it, they would miss its first walk' -r
complete -c pinscope -n "__fish_pinscope_using_subcommand run" -l census-cpu-percent -d 'Percent of one CPU that the census at the start may take, which finds what is pinned already and who maps it, such as 20; 0 for none' -r
complete -c pinscope -n "__fish_pinscope_using_subcommand run" -l ring-bytes -d 'Size of the ring that carries samples: a power of two, at least one page' -r
complete -c pinscope -n "__fish_pinscope_using_subcommand run" -l ledger-folios -d 'Folios that the ledger can hold, rounded up to a power of two; one takes 48 bytes of kernel memory. When it is full, it keeps a sample of folios' -r
complete -c pinscope -n "__fish_pinscope_using_subcommand run" -l owners -d 'Owners that can be told apart at once, rounded up to a power of two; one takes 512 bytes of kernel memory' -r
complete -c pinscope -n "__fish_pinscope_using_subcommand run" -l socket -d 'Socket that answers `pinscope pins` and `pinscope verdicts`; one agent a socket' -r -F
complete -c pinscope -n "__fish_pinscope_using_subcommand run" -l off-file -d 'While this file is there, nothing is attached: an agent that runs detaches within seconds, and one that starts waits. When it is gone, the agent attaches again' -r -F
complete -c pinscope -n "__fish_pinscope_using_subcommand run" -l suspect-after -d 'Pins held for longer than this make their owner a suspect (30s, 10m, 1h)' -r
complete -c pinscope -n "__fish_pinscope_using_subcommand run" -l summary -d 'Form of the summary at the end' -r -f -a "text\t'For people'
json\t'For programs'"
complete -c pinscope -n "__fish_pinscope_using_subcommand run" -l log -d 'What is logged: error, warn, info, debug, trace, or per module as in `RUST_LOG`' -r
complete -c pinscope -n "__fish_pinscope_using_subcommand run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c pinscope -n "__fish_pinscope_using_subcommand record" -s o -l output -d 'File to write; what it held is gone' -r -F
complete -c pinscope -n "__fish_pinscope_using_subcommand record" -l config -d 'Configuration file, in TOML: its keys are the flags here, without the dashes. A flag wins over a variable, and both over the file. If nothing is said it is /etc/pinscope/pinscope.toml, if that is there. SIGHUP has it read again' -r -F
complete -c pinscope -n "__fish_pinscope_using_subcommand record" -l listen -d 'Address that serves `/metrics`' -r
complete -c pinscope -n "__fish_pinscope_using_subcommand record" -l web-config -d 'File that asks for TLS and passwords, in the format of Prometheus\' exporter-toolkit. It is read again when it or its certificate changes' -r -F
complete -c pinscope -n "__fish_pinscope_using_subcommand record" -l duration -d 'End by itself after this time, with a summary (30s, 5m, 1h)' -r
complete -c pinscope -n "__fish_pinscope_using_subcommand record" -l attach -d 'How to attach: fentry is cheaper, kprobe works on more kernels' -r -f -a "auto\t'fentry where the kernel allows it, kprobe otherwise'
fentry\t'BPF trampolines only'
kprobe\t'kprobes and kretprobes only'"
complete -c pinscope -n "__fish_pinscope_using_subcommand record" -l writeback-hooks -d 'When the hooks on writeback\'s walks and on unmaps are attached. They serve the estimators alone, and cost whoever unmaps memory or writes files' -r -f -a "auto\t'While a folio is pinned of a file that writeback cleans, and a calm time longer'
always\t'From start to end: every walk is seen'
never\t'For the self-test at the start only: no walk is judged'"
complete -c pinscope -n "__fish_pinscope_using_subcommand record" -l writeback-calm -d 'With `--writeback-hooks auto`: how long they stay after the last pin of a file\'s page. Shorter than writeback takes to come to it, they would miss its first walk' -r
complete -c pinscope -n "__fish_pinscope_using_subcommand record" -l census-cpu-percent -d 'Percent of one CPU that the census at the start may take, which finds what is pinned already and who maps it, such as 20; 0 for none' -r
complete -c pinscope -n "__fish_pinscope_using_subcommand record" -l ring-bytes -d 'Size of the ring that carries samples: a power of two, at least one page' -r
complete -c pinscope -n "__fish_pinscope_using_subcommand record" -l ledger-folios -d 'Folios that the ledger can hold, rounded up to a power of two; one takes 48 bytes of kernel memory. When it is full, it keeps a sample of folios' -r
complete -c pinscope -n "__fish_pinscope_using_subcommand record" -l owners -d 'Owners that can be told apart at once, rounded up to a power of two; one takes 512 bytes of kernel memory' -r
complete -c pinscope -n "__fish_pinscope_using_subcommand record" -l socket -d 'Socket that answers `pinscope pins` and `pinscope verdicts`; one agent a socket' -r -F
complete -c pinscope -n "__fish_pinscope_using_subcommand record" -l off-file -d 'While this file is there, nothing is attached: an agent that runs detaches within seconds, and one that starts waits. When it is gone, the agent attaches again' -r -F
complete -c pinscope -n "__fish_pinscope_using_subcommand record" -l suspect-after -d 'Pins held for longer than this make their owner a suspect (30s, 10m, 1h)' -r
complete -c pinscope -n "__fish_pinscope_using_subcommand record" -l summary -d 'Form of the summary at the end' -r -f -a "text\t'For people'
json\t'For programs'"
complete -c pinscope -n "__fish_pinscope_using_subcommand record" -l log -d 'What is logged: error, warn, info, debug, trace, or per module as in `RUST_LOG`' -r
complete -c pinscope -n "__fish_pinscope_using_subcommand record" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c pinscope -n "__fish_pinscope_using_subcommand replay" -l format -d 'Form of the report' -r -f -a "text\t'For people'
json\t'For programs'"
complete -c pinscope -n "__fish_pinscope_using_subcommand replay" -l log -d 'What is logged: error, warn, info, debug, trace, or per module as in `RUST_LOG`' -r
complete -c pinscope -n "__fish_pinscope_using_subcommand replay" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c pinscope -n "__fish_pinscope_using_subcommand pins" -l by -d 'What the rows stand for' -r -f -a "process\t'The process that pinned'
user\t'The user of that process, as the initial namespace counts: whose limit it is held to'
cgroup\t'The cgroup of that process'
memcg\t'The memory cgroup that is charged for the memory, whoever pinned it'
subsystem\t'The part of the kernel on whose behalf it is pinned'
file\t'The file that the memory belongs to'
stack\t'The call path that pinned'"
complete -c pinscope -n "__fish_pinscope_using_subcommand pins" -l min-age -d 'Only what has been held for at least so long (500ms, 10s, 5m)' -r
complete -c pinscope -n "__fish_pinscope_using_subcommand pins" -l top -d 'Rows at most; the others are added up in one' -r
complete -c pinscope -n "__fish_pinscope_using_subcommand pins" -l socket -d 'Socket of the agent' -r -F
complete -c pinscope -n "__fish_pinscope_using_subcommand pins" -l format -d 'Form of the report' -r -f -a "text\t'For people'
json\t'For programs'"
complete -c pinscope -n "__fish_pinscope_using_subcommand pins" -l log -d 'What is logged: error, warn, info, debug, trace, or per module as in `RUST_LOG`' -r
complete -c pinscope -n "__fish_pinscope_using_subcommand pins" -l suspects -d 'Only owners that are suspected of a leak'
complete -c pinscope -n "__fish_pinscope_using_subcommand pins" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c pinscope -n "__fish_pinscope_using_subcommand census" -l by -d 'What the rows stand for' -r -f -a "process\t'The processes that map the memory'
file\t'The file that the memory belongs to'
memcg\t'The memory cgroup that is charged for the memory'
kind\t'What memory it is: anonymous, shared, of a file, huge pages of a pool'
size\t'The size of a folio'
node\t'The NUMA node'
zone\t'The zone of a node'
block\t'The memory block, which can be taken offline as a whole'
cma\t'The area for contiguous allocations'"
complete -c pinscope -n "__fish_pinscope_using_subcommand census" -l range -d 'Only these page frames, the last one not included; hexadecimal with 0x' -r
complete -c pinscope -n "__fish_pinscope_using_subcommand census" -l block -d 'Only this memory block, of /sys/devices/system/memory/memoryN' -r
complete -c pinscope -n "__fish_pinscope_using_subcommand census" -l top -d 'Rows at most; the others are added up in one' -r
complete -c pinscope -n "__fish_pinscope_using_subcommand census" -l cpu-percent -d 'How much of one CPU the walk takes at most, in percent' -r
complete -c pinscope -n "__fish_pinscope_using_subcommand census" -l format -d 'Form of the report' -r -f -a "text\t'For people'
json\t'For programs'"
complete -c pinscope -n "__fish_pinscope_using_subcommand census" -l log -d 'What is logged: error, warn, info, debug, trace, or per module as in `RUST_LOG`' -r
complete -c pinscope -n "__fish_pinscope_using_subcommand census" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c pinscope -n "__fish_pinscope_using_subcommand verdicts" -l socket -d 'Socket of the agent' -r -F
complete -c pinscope -n "__fish_pinscope_using_subcommand verdicts" -l format -d 'Form of the report' -r -f -a "text\t'For people'
json\t'For programs'"
complete -c pinscope -n "__fish_pinscope_using_subcommand verdicts" -l log -d 'What is logged: error, warn, info, debug, trace, or per module as in `RUST_LOG`' -r
complete -c pinscope -n "__fish_pinscope_using_subcommand verdicts" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c pinscope -n "__fish_pinscope_using_subcommand config; and not __fish_seen_subcommand_from check show help" -l log -d 'What is logged: error, warn, info, debug, trace, or per module as in `RUST_LOG`' -r
complete -c pinscope -n "__fish_pinscope_using_subcommand config; and not __fish_seen_subcommand_from check show help" -s h -l help -d 'Print help'
complete -c pinscope -n "__fish_pinscope_using_subcommand config; and not __fish_seen_subcommand_from check show help" -f -a "check" -d 'Look for mistakes in a configuration file: each with its line. It asks no running agent'
complete -c pinscope -n "__fish_pinscope_using_subcommand config; and not __fish_seen_subcommand_from check show help" -f -a "show" -d 'Show the settings that `pinscope run` with the same flags would take, and where each is from'
complete -c pinscope -n "__fish_pinscope_using_subcommand config; and not __fish_seen_subcommand_from check show help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c pinscope -n "__fish_pinscope_using_subcommand config; and __fish_seen_subcommand_from check" -l format -d 'Form of the report' -r -f -a "text\t'For people'
json\t'For programs'"
complete -c pinscope -n "__fish_pinscope_using_subcommand config; and __fish_seen_subcommand_from check" -l log -d 'What is logged: error, warn, info, debug, trace, or per module as in `RUST_LOG`' -r
complete -c pinscope -n "__fish_pinscope_using_subcommand config; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c pinscope -n "__fish_pinscope_using_subcommand config; and __fish_seen_subcommand_from show" -l format -d 'Form of the report' -r -f -a "text\t'For people'
json\t'For programs'"
complete -c pinscope -n "__fish_pinscope_using_subcommand config; and __fish_seen_subcommand_from show" -l config -d 'Configuration file, in TOML: its keys are the flags here, without the dashes. A flag wins over a variable, and both over the file. If nothing is said it is /etc/pinscope/pinscope.toml, if that is there. SIGHUP has it read again' -r -F
complete -c pinscope -n "__fish_pinscope_using_subcommand config; and __fish_seen_subcommand_from show" -l listen -d 'Address that serves `/metrics`' -r
complete -c pinscope -n "__fish_pinscope_using_subcommand config; and __fish_seen_subcommand_from show" -l web-config -d 'File that asks for TLS and passwords, in the format of Prometheus\' exporter-toolkit. It is read again when it or its certificate changes' -r -F
complete -c pinscope -n "__fish_pinscope_using_subcommand config; and __fish_seen_subcommand_from show" -l duration -d 'End by itself after this time, with a summary (30s, 5m, 1h)' -r
complete -c pinscope -n "__fish_pinscope_using_subcommand config; and __fish_seen_subcommand_from show" -l attach -d 'How to attach: fentry is cheaper, kprobe works on more kernels' -r -f -a "auto\t'fentry where the kernel allows it, kprobe otherwise'
fentry\t'BPF trampolines only'
kprobe\t'kprobes and kretprobes only'"
complete -c pinscope -n "__fish_pinscope_using_subcommand config; and __fish_seen_subcommand_from show" -l writeback-hooks -d 'When the hooks on writeback\'s walks and on unmaps are attached. They serve the estimators alone, and cost whoever unmaps memory or writes files' -r -f -a "auto\t'While a folio is pinned of a file that writeback cleans, and a calm time longer'
always\t'From start to end: every walk is seen'
never\t'For the self-test at the start only: no walk is judged'"
complete -c pinscope -n "__fish_pinscope_using_subcommand config; and __fish_seen_subcommand_from show" -l writeback-calm -d 'With `--writeback-hooks auto`: how long they stay after the last pin of a file\'s page. Shorter than writeback takes to come to it, they would miss its first walk' -r
complete -c pinscope -n "__fish_pinscope_using_subcommand config; and __fish_seen_subcommand_from show" -l census-cpu-percent -d 'Percent of one CPU that the census at the start may take, which finds what is pinned already and who maps it, such as 20; 0 for none' -r
complete -c pinscope -n "__fish_pinscope_using_subcommand config; and __fish_seen_subcommand_from show" -l ring-bytes -d 'Size of the ring that carries samples: a power of two, at least one page' -r
complete -c pinscope -n "__fish_pinscope_using_subcommand config; and __fish_seen_subcommand_from show" -l ledger-folios -d 'Folios that the ledger can hold, rounded up to a power of two; one takes 48 bytes of kernel memory. When it is full, it keeps a sample of folios' -r
complete -c pinscope -n "__fish_pinscope_using_subcommand config; and __fish_seen_subcommand_from show" -l owners -d 'Owners that can be told apart at once, rounded up to a power of two; one takes 512 bytes of kernel memory' -r
complete -c pinscope -n "__fish_pinscope_using_subcommand config; and __fish_seen_subcommand_from show" -l socket -d 'Socket that answers `pinscope pins` and `pinscope verdicts`; one agent a socket' -r -F
complete -c pinscope -n "__fish_pinscope_using_subcommand config; and __fish_seen_subcommand_from show" -l off-file -d 'While this file is there, nothing is attached: an agent that runs detaches within seconds, and one that starts waits. When it is gone, the agent attaches again' -r -F
complete -c pinscope -n "__fish_pinscope_using_subcommand config; and __fish_seen_subcommand_from show" -l suspect-after -d 'Pins held for longer than this make their owner a suspect (30s, 10m, 1h)' -r
complete -c pinscope -n "__fish_pinscope_using_subcommand config; and __fish_seen_subcommand_from show" -l summary -d 'Form of the summary at the end' -r -f -a "text\t'For people'
json\t'For programs'"
complete -c pinscope -n "__fish_pinscope_using_subcommand config; and __fish_seen_subcommand_from show" -l log -d 'What is logged: error, warn, info, debug, trace, or per module as in `RUST_LOG`' -r
complete -c pinscope -n "__fish_pinscope_using_subcommand config; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c pinscope -n "__fish_pinscope_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "check" -d 'Look for mistakes in a configuration file: each with its line. It asks no running agent'
complete -c pinscope -n "__fish_pinscope_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "show" -d 'Show the settings that `pinscope run` with the same flags would take, and where each is from'
complete -c pinscope -n "__fish_pinscope_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c pinscope -n "__fish_pinscope_using_subcommand doctor" -l format -d 'Form of the report' -r -f -a "text\t'For people'
json\t'For programs'"
complete -c pinscope -n "__fish_pinscope_using_subcommand doctor" -l attach -d 'How the agent would be asked to attach' -r -f -a "auto\t'fentry where the kernel allows it, kprobe otherwise'
fentry\t'BPF trampolines only'
kprobe\t'kprobes and kretprobes only'"
complete -c pinscope -n "__fish_pinscope_using_subcommand doctor" -l config -d 'The agent\'s configuration file; if nothing is said, /etc/pinscope/pinscope.toml, if that is there. What it says of the options here holds unless they are given' -r -F
complete -c pinscope -n "__fish_pinscope_using_subcommand doctor" -l web-config -d 'The agent\'s web configuration' -r -F
complete -c pinscope -n "__fish_pinscope_using_subcommand doctor" -l off-file -d 'The file that switches the agent off' -r -F
complete -c pinscope -n "__fish_pinscope_using_subcommand doctor" -l log -d 'What is logged: error, warn, info, debug, trace, or per module as in `RUST_LOG`' -r
complete -c pinscope -n "__fish_pinscope_using_subcommand doctor" -l quiet -d 'Print only why the agent cannot run, if it cannot'
complete -c pinscope -n "__fish_pinscope_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c pinscope -n "__fish_pinscope_using_subcommand help; and not __fish_seen_subcommand_from run record replay pins census verdicts config doctor help" -f -a "run" -d 'Attach to the running kernel, judge, and export metrics'
complete -c pinscope -n "__fish_pinscope_using_subcommand help; and not __fish_seen_subcommand_from run record replay pins census verdicts config doctor help" -f -a "record" -d 'Run, and write what the kernel sends to a file that can be replayed'
complete -c pinscope -n "__fish_pinscope_using_subcommand help; and not __fish_seen_subcommand_from run record replay pins census verdicts config doctor help" -f -a "replay" -d 'Judge a recording, or a trace of the model, with the code that judges live'
complete -c pinscope -n "__fish_pinscope_using_subcommand help; and not __fish_seen_subcommand_from run record replay pins census verdicts config doctor help" -f -a "pins" -d 'Ask the running agent who holds pins: how much, since when, and on whose behalf'
complete -c pinscope -n "__fish_pinscope_using_subcommand help; and not __fish_seen_subcommand_from run record replay pins census verdicts config doctor help" -f -a "census" -d 'Look at every page of the machine, and say what is pinned now, whoever pinned it and when'
complete -c pinscope -n "__fish_pinscope_using_subcommand help; and not __fish_seen_subcommand_from run record replay pins census verdicts config doctor help" -f -a "verdicts" -d 'Ask the running agent how good each estimator is'
complete -c pinscope -n "__fish_pinscope_using_subcommand help; and not __fish_seen_subcommand_from run record replay pins census verdicts config doctor help" -f -a "config" -d 'Look for mistakes in the configuration file, or show which settings are in force'
complete -c pinscope -n "__fish_pinscope_using_subcommand help; and not __fish_seen_subcommand_from run record replay pins census verdicts config doctor help" -f -a "doctor" -d 'Say what would work on this host and what is missing, changing nothing'
complete -c pinscope -n "__fish_pinscope_using_subcommand help; and not __fish_seen_subcommand_from run record replay pins census verdicts config doctor help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c pinscope -n "__fish_pinscope_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "check" -d 'Look for mistakes in a configuration file: each with its line. It asks no running agent'
complete -c pinscope -n "__fish_pinscope_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "show" -d 'Show the settings that `pinscope run` with the same flags would take, and where each is from'
