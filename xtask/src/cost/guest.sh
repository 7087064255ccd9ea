# Runs in the guest of `cargo xtask cost`: puts each observer on in turn and runs the loads under it, twice over.
# Prints a line for each measurement: "cost", the observer, the load and what the load reported, between tabs.
set -eu

# For fio: a disk of nothing that answers at once, in the caller's own context.
mount -t configfs none /sys/kernel/config
disk=/sys/kernel/config/nullb/cost
mkdir $disk
echo 2 >$disk/queue_mode
echo 0 >$disk/irqmode
echo 4096 >$disk/blocksize
echo 1024 >$disk/size
echo 1 >$disk/power
device=$(ls /dev/cost /dev/nullb1 2>/dev/null | head -1)

# For the files: a disk in memory, which needs no interrupt either, and no journal, whose thread works when it likes.
# By its path: busybox's shell has an mke2fs of its own, which knows no ext4.
/bin/mke2fs -q -t ext4 -O ^has_journal -E lazy_itable_init=0 /dev/ram0
mkdir /mnt/files
mount -t ext4 /dev/ram0 /mnt/files

# Huge pages only where they are asked for: fio's buffer would become part of one at some time or other.
echo madvise >/sys/kernel/mm/transparent_hugepage/enabled

# Where a process has its memory decides how far the kernel looks for it.
echo 0 >/proc/sys/kernel/randomize_va_space

report() { # LOAD
    printf 'cost\t%s\t%s\t%s\n' "$observer" "$1" "$(tr -d '\n' </tmp/report)"
}

io() { # NUMBER
    fio --name=cost --filename="$device" --ioengine=psync --direct=1 --bs=4k --rw=randread --randrepeat=1 \
        --norandommap --thread --size=512m --io_size=$(($1 * 4))k --number_ios="$1" \
        --output-format=json --output=/tmp/report
}

timed() { # LOAD OPTION...
    load=$1
    shift
    workload --dir /mnt/files timed "$@" >/tmp/report
    report "$load"
}

measure_io() {
    io 200000
    report io
}

# What those do who pin nothing.
measure_bystanders() {
    timed walk walk --pages 256 --times 20
    timed unmap unmap --pages 512 --times 40
    timed fork fork --pages 1024 --times 20
    timed exec exec --times 20
    timed unmap_anon unmap-anon --pages 512 --times 40
    timed dont_need dont-need --pages 512 --times 40
    timed fault fault --pages 512 --times 40
    timed write write --pages 256 --times 20
    timed page_out page-out --pages 256 --times 20
}

measure_all() {
    measure_io
    timed pages1 pin --pages 1 --among 512 --times 20480
    timed pages8 pin --pages 8 --among 512 --times 10240
    timed pages512 pin --pages 512 --times 1000
    timed folio1 pin --pages 1 --among 4096 --memory thp --times 20480
    timed folio512 pin --pages 512 --among 4096 --memory thp --times 2000
    measure_bystanders
}

# Lets the kernel finish what it put off, such as freeing what was attached before. The clock of this guest jumps
# over the time in which nothing happens.
settle() {
    sleep 5
}

# Waits until nothing of an observer is left in the kernel.
off() {
    until [ -z "$(cat /sys/kernel/debug/kprobes/list /sys/kernel/tracing/enabled_functions)" ]; do sleep 0.1; done
    observer=off
    settle
}

start() { # OBSERVER PROGRAM...: in the background
    observer=$1
    shift
    # What the one before said is waited for by nobody.
    : >/tmp/observer
    "$@" >>/tmp/observer 2>&1 &
    pid=$!
}

# Waits for a condition, and fails with what the observer said if it ended before.
ready() {
    until "$@" >/dev/null 2>&1; do
        kill -0 $pid || { cat /tmp/observer >&2; exit 1; }
        sleep 0.1
    done
}

# The probes stay on, and the process behind them does nothing any more.
only_probes() {
    kill -STOP $pid
    settle
}

stop() {
    kill -CONT $pid
    kill -INT $pid
    wait $pid || { cat /tmp/observer >&2; exit 1; }
    off
}

metrics() {
    wget -q -O - http://127.0.0.1:9969/metrics
}

# Writeback's hooks are attached from start to end.
agent() { # OBSERVER MODE
    start "$1" pinscope run --attach "$2" --writeback-hooks always
    ready metrics
    settle
}

has_disarmed() {
    metrics | grep -q 'pinscope_writeback_hooks_changes_total{change="disarmed"} 1'
}

# What the agent itself takes: the time of its group, which a clock of instructions makes a count of them.
group=/sys/fs/cgroup/cost

used() { # in instructions, of what it used in all
    awk '$1 == "usage_usec" { print $2 * 1000 }' $group/cpu.stat
}

own() { # WHAT INSTRUCTIONS-BEFORE TIMES
    printf 'own\t%s\t%s\n' "$1" $((($(used) - $2) / $3))
}

idle_and_scrape() { # SUFFIX
    settle
    before=$(used)
    sleep 120
    own "idle$1" "$before" 120
    before=$(used)
    for scrape in 1 2 3 4 5 6 7 8 9 10; do metrics >/dev/null; done
    own "scrape$1" "$before" 10
}

measure_agent() {
    mkdir $group
    start own sh -c "echo 0 >$group/cgroup.procs; exec pinscope run"
    until grep -q 'serving http' /tmp/observer; do sleep 0.1; done
    own start 0 1
    ready has_disarmed
    idle_and_scrape ''
    printf 'own\tresident\t%s\n' "$(awk '$1 == "RssAnon:" { print $2 }' /proc/$pid/status)"
    mkfifo /tmp/word
    workload --dir /mnt/files --step uring-fixed --pages 200000 </tmp/word >/tmp/report &
    holder=$!
    exec 3>/tmp/word
    until grep -q held /tmp/report; do sleep 0.1; done
    idle_and_scrape _full
    exec 3>&-
    wait $holder
    rm /tmp/word
    stop
    rmdir $group
}

# As it is by itself: they are off, because nothing is pinned of a file.
resting() { # OBSERVER MODE
    start "$1" pinscope run --attach "$2"
    ready has_disarmed
    only_probes
    measure_bystanders
    stop
}

# All probes are on, and bpftrace waits for what they might send.
waits() {
    grep -q '_user_pages_fast' /sys/kernel/debug/kprobes/list /sys/kernel/tracing/enabled_functions &&
        grep -q 'poll' /proc/$pid/wchan
}

script() { # OBSERVER BPFTRACE-PROGRAM
    start "$1" bpftrace -e "$2"
    ready waits
    only_probes
    measure_io
    stop
}

# What the kernel does the first time only.
observer=off
io 20000
workload --dir /mnt/files timed pin --pages 1 --among 4096 --memory thp --times 20480 >/dev/null
for round in 1 2; do
    off
    measure_all

    agent awake auto
    measure_io
    observer=fentry
    only_probes
    measure_all
    stop

    agent kprobe kprobe
    only_probes
    measure_all
    stop

    measure_agent

    resting resting_fentry auto
    resting resting_kprobe kprobe

    # One of the two functions is what a direct read calls; which one depends on the kernel.
    script bpftrace \
        'kretprobe:get_user_pages_fast, kretprobe:pin_user_pages_fast { @[comm] = sum(retval); }'
    script empty_fexit \
        'kfunc:get_user_pages_fast, kfunc:pin_user_pages_fast { } kretfunc:get_user_pages_fast, kretfunc:pin_user_pages_fast { }'
    script empty_kretprobe \
        'kprobe:get_user_pages_fast, kprobe:pin_user_pages_fast { } kretprobe:get_user_pages_fast, kretprobe:pin_user_pages_fast { }'
done

pinscope verify | while read -r line; do printf 'verify\t%s\n' "$line"; done
