//! docs/SECURITY.md says what rights each process has; this compares it with the processes of a running engine.
#![expect(clippy::unwrap_used, reason = "tests")]

use e2e::Engine;
use std::collections::BTreeMap;

/// One line of the table.
#[derive(Debug, PartialEq, Eq)]
struct Rights {
    user: String,
    capabilities: String,
    no_new_privs: String,
    filter: String,
}

fn table() -> BTreeMap<String, Rights> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/SECURITY.md");
    let text = std::fs::read_to_string(path).unwrap();
    let rows = text.lines().skip_while(|line| !line.starts_with("| process")).skip(2);
    rows.take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells: Vec<_> = line.split('|').map(|cell| cell.trim().to_owned()).collect();
            let [_, name, user, capabilities, no_new_privs, filter, ..] = &cells[..] else {
                unreachable!("{line}")
            };
            let rights = Rights {
                user: user.clone(),
                capabilities: capabilities.clone(),
                no_new_privs: no_new_privs.clone(),
                filter: filter.clone(),
            };
            (name.clone(), rights)
        })
        .collect()
}

const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

fn status(pid: &str) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs.map(|(key, value)| (key.to_owned(), value.trim().to_owned())).collect()
}

/// What a process really has, in the words of the table.
fn rights(pid: u32) -> Rights {
    let status = status(&pid.to_string());
    let set = |key: &str| u64::from_str_radix(&status[key], 16).unwrap();
    assert_eq!(set("CapInh"), 0, "inheritable of {}", status["Name"]);
    assert_eq!(set("CapAmb"), 0, "ambient of {}", status["Name"]);
    assert_eq!(set("CapEff"), set("CapPrm"), "effective and permitted of {}", status["Name"]);
    assert_eq!(set("CapBnd"), set("CapPrm"), "bounding and permitted of {}", status["Name"]);
    let have = set("CapEff");
    let own = u64::from_str_radix(&self::status("self")["CapEff"], 16).unwrap();
    let mut names: Vec<_> =
        (0..NAMES.len()).filter(|bit| have >> bit & 1 == 1).map(|bit| NAMES[bit]).collect();
    names.sort_unstable();
    let capabilities = match have {
        0 => "none".to_owned(),
        have if have == own => "all".to_owned(),
        _ => names.join(" "),
    };
    let yes = |key: &str| if status[key] == "0" { "no" } else { "yes" }.to_owned();
    Rights {
        user: status["Uid"].split_whitespace().next().unwrap().to_owned(),
        capabilities,
        no_new_privs: yes("NoNewPrivs"),
        filter: yes("Seccomp"),
    }
}

#[test]
fn every_process_has_the_rights_of_the_table_and_no_others() {
    let engine = Engine::with_busybox();
    engine.docker(&["run", "-d", "--name", "one", "busybox", "sleep", "300"]).text();
    let mut found = BTreeMap::new();
    found.insert("supervisor".to_owned(), rights(engine.pid()));
    for (pid, role) in engine.workers() {
        found.insert(role, rights(pid));
    }
    let init = engine.docker(&["inspect", "one", "--format", "{{.State.Pid}}"]).text();
    let shim = status(&init)["PPid"].parse().unwrap();
    found.insert("shim".to_owned(), rights(shim));
    assert_eq!(found, table());
}

#[test]
fn the_storage_worker_has_no_network_and_the_api_worker_cannot_be_looked_into_by_its_user() {
    let engine = Engine::start();
    let find = |role: &str| engine.workers().into_iter().find(|(_, have)| have == role).unwrap().0;
    let netns = |pid: u32| std::fs::read_link(format!("/proc/{pid}/ns/net")).unwrap();
    let (storage, api) = (find("storage"), find("api"));
    assert_ne!(netns(storage), netns(engine.pid()));
    let links = std::fs::read_to_string(format!("/proc/{storage}/net/dev")).unwrap();
    assert_eq!(links.lines().count(), 3, "two lines of heading and loopback: {links}");
    use std::os::unix::fs::MetadataExt;
    let owner = std::fs::metadata(format!("/proc/{api}/mem")).unwrap().uid();
    assert_eq!(owner, 0, "a process that is not dumpable belongs to root in /proc");
}

#[test]
fn a_container_has_dockers_default_confinement() {
    let engine = Engine::with_busybox();
    let run = |script: &str| engine.docker(&["run", "--rm", "busybox", "sh", "-c", script]).text();
    let status = run("cat /proc/self/status");
    let line = |key: &str| status.lines().find(|line| line.starts_with(key)).unwrap().to_owned();
    for set in ["CapPrm:", "CapEff:", "CapBnd:"] {
        assert_eq!(line(set), format!("{set}\t00000000a80425fb"));
    }
    for set in ["CapInh:", "CapAmb:"] {
        assert_eq!(line(set), format!("{set}\t0000000000000000"));
    }
    assert_eq!(line("Seccomp:"), "Seccomp:\t2");
    assert_eq!(
        run("ls /proc/self/fd | wc -l"),
        "4",
        "three streams, and the directory that ls reads"
    );
    assert_eq!(run("cat /proc/1/comm; true"), "sh");
    // `core` is there only where the kernel has /proc/kcore.
    let nodes = run("ls /dev | sort | grep -v core | tr '\\n' ' '");
    assert_eq!(
        nodes,
        "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero"
    );
}
