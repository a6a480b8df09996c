//! CVE-2016-9962 and CVE-2024-21626: descriptors of the starter, seen from inside or as a working directory.

use crate::attacker::image;
use e2e::Engine;

/// Stops each process that joins as soon as its number exists, looks at all it has, and lets it take a small step before
/// it looks again. The number is the one after the last. Links to busybox's own files and streams are nothing to hide.
const SPY: &str = r#"
look() {
    read name <$p/comm && case $name in *coffer*) echo met >>/tmp/met; esac
    for l in $p/fd/* $p/cwd $p/root $p/exe; do
        t=$(readlink $l) || continue
        case $t in /|/bin/*|/dev/null|pipe:*|$p/*) ;; *) echo $name $l $t >>/tmp/seen ;; esac
    done
    tr '\0' '\n' <$p/environ | grep -i -e coffer -e ^DOCKER >/tmp/environ && echo $p/environ >>/tmp/seen
    case $name in *coffer*)
        # It may have become its program before it stopped.
        grep -q . $p/maps && [ "$(readlink $p/exe)" != /bin/busybox ] && echo $p/maps socket:[ >>/tmp/seen
    esac
}
while :; do
    read a b c d last </proc/loadavg
    for n in $((last + 1)) $last; do
        p=/proc/$n steps=0
        while [ $n != 1 ] && kill -STOP $n; do
            [ $steps -lt 4 ] && look
            steps=$((steps + 1))
            kill -CONT $n
        done
    done
done 2>/dev/null
"#;

/// What a spy with these flags has seen of processes that joined, a line for each.
fn spied(engine: &Engine, flags: &[&str]) -> Vec<String> {
    let arguments =
        [&["run", "-d", "--name", "spy"], flags, &["busybox", "sh", "-c", SPY]].concat();
    engine.docker(&arguments).text();
    for _ in 0..10 {
        engine.docker(&["exec", "spy", "true"]).ok();
    }
    // `docker cp` starts nothing inside that the spy could stop; it writes a tar, whose header is one line here.
    let told = |name: &str| engine.docker(&["cp", &format!("spy:/tmp/{name}"), "-"]);
    assert_eq!(told("met").code, 0, "the spy has met no process before its program ran");
    let seen = told("seen").out.replace('\0', "\n");
    seen.lines()
        .filter(|line| line.contains("/proc/") || line.contains("env"))
        .map(str::to_owned)
        .collect()
}

/// Guards: the kernel lets only those look who have every capability of the process, and it has all of them until its
/// rights are taken; from there to its program `set_dumpable(false)` in `run` of `runtime/launch/src/child/entry.rs`.
/// That last stretch is too short to be met here; `runtime/launch/tests/last_moment.rs` stops the process in it.
#[test]
fn a_process_that_joins_shows_nothing_to_those_inside() {
    assert_eq!(spied(&Engine::with_busybox(), &[]), <[&str; 0]>::default());
}

/// Guard: `keep_only_needed` of `runtime/launch/src/child/inherited.rs`. With this capability a process that is not
/// dumpable is as open as any other, so it must have nothing of the host's: streams, the channel, and its program.
#[test]
fn a_process_that_joins_has_nothing_of_the_host_even_for_those_who_may_trace_it() {
    let seen = spied(&Engine::with_busybox(), &["--cap-add", "SYS_PTRACE"]);
    let harmless = |line: &&String| {
        // What a tracer sees in any case, and the channel.
        line.contains(" socket:[") || line.ends_with("/exe /memfd:coffer-shim (deleted)")
    };
    let harmful: Vec<_> = seen.iter().filter(|line| !harmless(line)).collect();
    assert!(harmful.is_empty(), "{harmful:#?}");
    assert!(!seen.is_empty(), "the spy could not look, so nothing was tested");
}

/// Guard: `RESOLVE_NO_MAGICLINKS` in `change_directory` and the kernel's word in `directory_is_inside`, both of
/// `runtime/launch/src/child/program.rs`; and that every descriptor is close-on-exec.
#[test]
fn no_descriptor_is_a_working_directory_of_a_start() {
    let engine = Engine::start();
    image(&engine, "linked", |root| {
        for number in 3..20 {
            let target = format!("/proc/self/fd/{number}");
            std::os::unix::fs::symlink(target, root.join(format!("cwd{number}"))).unwrap();
        }
    });
    engine.docker(&["run", "-d", "--name", "one", "linked", "sleep", "300"]).text();
    for number in 3..20 {
        let direct = format!("/proc/self/fd/{number}");
        let linked = format!("/cwd{number}");
        let cwd = if number % 2 == 0 { &direct } else { &linked };
        let script = "ls -di . /; cat ../../../../etc/hostname";
        let run = engine.docker(&["run", "--rm", "-w", cwd, "linked", "sh", "-c", script]);
        assert!((125..=127).contains(&run.code), "{cwd}: {} {}", run.out, run.err);
        assert!(run.err.contains("chdir to cwd"), "{cwd}: {}", run.err);
        let exec = engine.docker(&["exec", "-w", cwd, "one", "sh", "-c", script]);
        assert!((125..=127).contains(&exec.code), "{cwd}: {} {}", exec.out, exec.err);
        assert!((exec.out.clone() + &exec.err).contains("chdir to cwd"), "{cwd}: {}", exec.err);
    }
}

/// Guard: close-on-exec everywhere and `set_cloexec_from(3)` before the gate, `runtime/launch/src/child/entry.rs`.
#[test]
fn a_program_starts_with_three_descriptors_and_no_more() {
    let engine = Engine::with_busybox();
    engine.docker(&["run", "-d", "--name", "one", "busybox", "sleep", "300"]).text();
    // Only what the shell does by itself, for it opens files to start others. Its terminal is descriptor 10.
    let script = "n=3; while [ $n -lt 100 ]; do
        [ $n = 10 ] || ! [ -e /proc/self/fd/$n ] || echo $n; n=$((n + 1)); done; echo end";
    for streams in [&[][..], &["-i"], &["-t"]] {
        for start in [&["run", "--rm"][..], &["exec"]] {
            let name = if start[0] == "run" { "busybox" } else { "one" };
            let arguments = [start, streams, &[name, "sh", "-c", script]].concat();
            assert_eq!(engine.docker(&arguments).text(), "end", "{arguments:?}");
        }
    }
}
