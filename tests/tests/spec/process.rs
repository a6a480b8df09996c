//! config.md, "Process", "POSIX process", "Linux process", "User".

use crate::rig::{Bundle, has_capability, row};
use serde_json::json;

#[test]
fn the_program_runs_with_what_the_process_says() {
    let bundle = Bundle::new();
    bundle.check(&[
        row(
            "process.args",
            json!({"process": {"args": ["/bin/echo", "a b", "", "c"]}}),
            "",
            "a b  c",
        ),
        row(
            "process.args: looked for in PATH",
            json!({"process": {"args": ["printf", "%s", "x"]}}),
            "",
            "x",
        ),
        row("process.cwd", json!({"process": {"cwd": "/var"}}), "pwd", "/var"),
        row(
            "process.cwd: made when it is missing",
            json!({"process": {"cwd": "/new/dir"}}),
            "pwd",
            "/new/dir",
        ),
        row(
            "process.env",
            json!({"process": {"env": ["PATH=/bin", "A=b=c", "EMPTY="]}}),
            "echo $A:${EMPTY-unset}:$PATH",
            "b=c::/bin",
        ),
        row("process.env: HOME of the user", json!({}), "echo $HOME", "/root"),
        row(
            "process.user",
            json!({"process": {"user": {"uid": 1000, "gid": 2000, "additionalGids": [5, 6]}}}),
            "grep -E '^(Uid|Gid|Groups)' /proc/self/status | tr -s '\\t ' ' '",
            "Uid: 1000 1000 1000 1000\nGid: 2000 2000 2000 2000\nGroups: 5 6",
        ),
        row("process.user.umask", json!({"process": {"user": {"umask": 0o027}}}), "umask", "0027"),
        row("process.user.umask: 0022 if it is not set", json!({}), "umask", "0022"),
        row(
            "process.noNewPrivileges",
            json!({}),
            "grep NoNewPrivs /proc/self/status",
            "NoNewPrivs:\t1",
        ),
        row(
            "process.noNewPrivileges: false",
            json!({"process": {"noNewPrivileges": false}}),
            "grep NoNewPrivs /proc/self/status",
            "NoNewPrivs:\t0",
        ),
        row(
            "process.oomScoreAdj",
            json!({"process": {"oomScoreAdj": 321}}),
            "cat /proc/self/oom_score_adj",
            "321",
        ),
        row(
            "process: descriptors",
            json!({}),
            // Listed by a child, for listing takes a descriptor.
            "ls /proc/$$/fd; true",
            "0\n1\n2",
        ),
    ]);
}

#[test]
fn capabilities_are_those_of_each_set_and_no_others() {
    let bundle = Bundle::new();
    let sets = "grep ^Cap /proc/self/status | tr -s '\\t' ' '";
    let (chown, kill) = ("CAP_CHOWN", "CAP_KILL");
    let row_of = |name, bounding: &[&str], permitted: &[&str], ambient: &[&str], says| {
        let capabilities = json!({
            "bounding": bounding, "permitted": permitted, "effective": permitted,
            "inheritable": ambient, "ambient": ambient,
        });
        let user = json!({"uid": 1000, "gid": 1000});
        row(name, json!({"process": {"capabilities": capabilities, "user": user}}), sets, says)
    };
    bundle.check(&[
        row_of(
            "process.capabilities: bounding, of another user",
            &[chown, kill], &[chown], &[],
            "CapInh: 0000000000000000\nCapPrm: 0000000000000000\nCapEff: 0000000000000000\n\
             CapBnd: 0000000000000021\nCapAmb: 0000000000000000",
        ),
        row_of(
            "process.capabilities: ambient",
            &[chown, kill], &[chown, kill], &[kill],
            "CapInh: 0000000000000020\nCapPrm: 0000000000000020\nCapEff: 0000000000000020\n\
             CapBnd: 0000000000000021\nCapAmb: 0000000000000020",
        ),
        row(
            "process.capabilities: of root",
            json!({"process": {"capabilities": {"bounding": [chown], "permitted": [chown], "effective": [chown]}}}),
            sets,
            "CapInh: 0000000000000000\nCapPrm: 0000000000000001\nCapEff: 0000000000000001\n\
             CapBnd: 0000000000000001\nCapAmb: 0000000000000000",
        ),
        row(
            "process.capabilities: none",
            json!({"process": {"capabilities": null}}),
            sets,
            "CapInh: 0000000000000000\nCapPrm: 0000000000000000\nCapEff: 0000000000000000\n\
             CapBnd: 0000000000000000\nCapAmb: 0000000000000000",
        ),
        row(
            "process.capabilities: what they are for",
            json!({"process": {"capabilities": {"bounding": [kill], "permitted": [kill], "effective": [kill]}}}),
            "touch /tmp/f && chown 5 /tmp/f 2>/dev/null || echo refused; rm -f /tmp/f",
            "refused",
        ),
    ]);
    // A word that no kernel knows is told, and left out.
    let change = json!({"process": {"capabilities": {"bounding": ["CAP_NONESUCH", chown]}}});
    let ran = bundle.run_with(&change, "grep CapBnd /proc/self/status");
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), "CapBnd:\t0000000000000001"));
    assert!(ran.err.contains("CAP_NONESUCH"), "{ran:?}");
}

#[test]
fn limits_of_resources_are_set() {
    let bundle = Bundle::new();
    let limit =
        |kind: &str, soft: u64, hard: u64| json!({"type": kind, "soft": soft, "hard": hard});
    let limits = json!({"process": {"rlimits": [
        limit("RLIMIT_NOFILE", 123, 456), limit("RLIMIT_CORE", 0, 0), limit("RLIMIT_STACK", 1 << 20, 1 << 23),
        limit("RLIMIT_FSIZE", 4096, 8192),
    ]}});
    bundle.check(&[
        row(
            "process.rlimits",
            limits.clone(),
            "grep -E 'open files|core file|Max stack|Max file size' /proc/self/limits | tr -s ' '",
            "Max file size 4096 8192 bytes \nMax stack size 1048576 8388608 bytes \nMax core file size 0 0 bytes \n\
             Max open files 123 456 files",
        ),
        row(
            "process.rlimits: what they are for",
            limits,
            "trap '' XFSZ; (head -c 9000 /dev/zero > /tmp/big) 2>/dev/null; wc -c < /tmp/big; rm /tmp/big",
            "4096",
        ),
    ]);
}

#[test]
fn scheduling_is_what_the_process_says() {
    let bundle = Bundle::new();
    let fields = "cut -d' ' -f19,41 /proc/self/stat";
    let nice = has_capability(23);
    let mut rows = vec![
        row(
            "process.scheduler: SCHED_BATCH",
            json!({"process": {"scheduler": {"policy": "SCHED_BATCH", "nice": 5}}}),
            fields,
            "5 3",
        ),
        row(
            "process.scheduler: SCHED_IDLE",
            json!({"process": {"scheduler": {"policy": "SCHED_IDLE"}}}),
            fields,
            "0 5",
        ),
        row(
            "process.scheduler: SCHED_OTHER",
            json!({"process": {"scheduler": {"policy": "SCHED_OTHER", "nice": 7}}}),
            fields,
            "7 0",
        ),
        row(
            "process.ioPriority",
            json!({"process": {"ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 6}}}),
            "ionice -p $$",
            "best-effort: prio 6",
        ),
        row(
            "process.ioPriority: idle",
            json!({"process": {"ioPriority": {"class": "IOPRIO_CLASS_IDLE", "priority": 0}}}),
            "ionice -p $$",
            "idle",
        ),
    ];
    if nice {
        rows.push(row(
            "process.ioPriority: real time",
            json!({"process": {"ioPriority": {"class": "IOPRIO_CLASS_RT", "priority": 2}}}),
            "ionice -p $$",
            "realtime: prio 2",
        ));
    }
    bundle.check(&rows);
}

#[test]
fn an_exec_runs_on_the_processors_that_are_said() {
    let bundle = Bundle::new();
    let affinity = json!({"process": {"execCPUAffinity": {"initial": "0", "final": "0"}}});
    let container = bundle.start(&affinity, "sleep 600");
    let allowed = "grep Cpus_allowed_list /proc/self/status | cut -f2";
    assert_eq!(container.exec(allowed), "0", "config.md process.execCPUAffinity");
    // It is not the container's own.
    let own = std::fs::read_to_string(format!("/proc/{}/status", container.pid())).unwrap();
    let ours = std::fs::read_to_string("/proc/self/status").unwrap();
    let list = |status: &str| {
        status.lines().find(|line| line.starts_with("Cpus_allowed_list")).map(str::to_owned)
    };
    assert_eq!(list(&own), list(&ours));
}

#[test]
fn the_exit_code_is_the_programs() {
    let bundle = Bundle::new();
    for (script, code) in [("exit 0", 0), ("exit 7", 7), ("sh -c 'kill -9 $$'; exit $?", 137)] {
        assert_eq!(bundle.run_with(&json!({}), script).code, Some(code), "{script}");
    }
}
