#!/bin/busybox sh
# The first process of a virtual machine: makes a small Linux of what is on board, runs the tests, ends.
busybox=/bin/busybox
$busybox mount -t proc proc /proc
$busybox mount -t sysfs sys /sys
$busybox mount -t devtmpfs dev /dev
$busybox mount -t tmpfs run /run
$busybox mount -t tmpfs tmp /tmp
$busybox mount -t bpf bpf /sys/fs/bpf
for module in /modules/*; do
    $busybox insmod "$module"
done
export PATH=/usr/bin IGMPD_BIN=/usr/bin/igmpd IGMPCTL_BIN=/usr/bin/igmpctl
ip link set lo up
# Each replication set is an open file; before 5.11 maps count as locked memory.
ulimit -n 1048576
ulimit -l unlimited

run() {
    echo "running $*"
    "$@" 2>&1 || echo "vm-test: broken"
}
. /tests.sh

echo "vm-test: ended"
$busybox poweroff -f
