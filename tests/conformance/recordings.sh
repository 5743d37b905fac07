# What record.sh and replay.sh both know about recordings. Sourced in this directory.
#
# recorded/NAME.txt begins with the kernel's version and the fingerprint of the script that it answered (with
# fixtures/NAME.*, if there are any), and is never edited. Where ulvs differs on purpose, recorded/NAME.ours.txt beside it
# has the reason, in lines with #, and then what ulvs prints.
scenarios() { ls scenarios | sed -n 's/\.sh$//p'; }
fingerprint() { cat "scenarios/$1.sh" $(ls "fixtures/$1".* 2>/dev/null) | sha256sum | cut -c1-16; }
is_current() { [ -e "recorded/$1.txt" ] && head -1 "recorded/$1.txt" | grep -q "script $(fingerprint "$1")\$"; }
kernels() { tail -n +2 "recorded/$1.txt"; }
expected() { if [ -e "recorded/$1.ours.txt" ]; then grep -v '^#' "recorded/$1.ours.txt"; else kernels "$1"; fi; }
target_dir() { cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/'; }
