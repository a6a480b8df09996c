//! What profiles are read, and what is said of those that are not.

use seccomp::profile::MAX_BYTES;
use seccomp::program::NEW_LISTENER;
use seccomp::{Action, Arch, Profile};

#[test]
fn a_mistake_is_reported_with_its_place() {
    let rule =
        |rule: &str| format!(r#"{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{rule}]}}"#);
    let cases = [
        ("[]".to_owned(), "not JSON: the top must be an object"),
        (r#"{"defaultAction": "ALLOW"}"#.to_owned(), "defaultAction: unknown action \"ALLOW\""),
        (r#"{"syscalls": [{"names": ["read"], "action": "SCMP_ACT_LOG"}]}"#.to_owned(), "defaultAction: is missing"),
        (r#"{"defaultAction": "SCMP_ACT_NOTIFY"}"#.to_owned(), "defaultAction: SCMP_ACT_NOTIFY cannot be the default action"),
        (r#"{"architectures": ["VAX"]}"#.to_owned(), "architectures[0]: unknown architecture \"VAX\""),
        (r#"{"flags": ["X"]}"#.to_owned(), "flags[0]: unknown flag \"X\""),
        (rule("7"), "syscalls[0]: must be an object"),
        (rule(r#"{"names": ["read"]}"#), "syscalls[0]: action is missing"),
        (rule(r#"{"action": "SCMP_ACT_LOG"}"#), "syscalls[0]: names is missing"),
        (rule(r#"{"names": ["read", ""], "action": "SCMP_ACT_LOG"}"#), "syscalls[0]: names[1] is empty"),
        (rule(r#"{"names": ["a"], "name": "b", "action": "SCMP_ACT_LOG"}"#), "syscalls[0].name: cannot be used together with names"),
        (rule(r#"{"names": ["write"], "action": "SCMP_ACT_NOTIFY"}"#), "syscalls[0]: SCMP_ACT_NOTIFY cannot be used for write"),
        (rule(r#"{"names": ["a"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5000}"#), "syscalls[0].errnoRet: must be a number from 0 to 4095"),
        (rule(r#"{"names": ["a"], "action": "SCMP_ACT_LOG", "args": [{"index": 6, "op": "SCMP_CMP_EQ"}]}"#), "syscalls[0].args[0].index: must be a number from 0 to 5"),
        (rule(r#"{"names": ["a"], "action": "SCMP_ACT_LOG", "args": [{"index": 1, "op": "=="}]}"#), "syscalls[0].args[0].op: unknown operator \"==\""),
        (rule(r#"{"names": ["a"], "action": "SCMP_ACT_LOG", "includes": {"minKernel": "4"}}"#), "syscalls[0].includes.minKernel: \"4\" is not <kernel>.<major revision>"),
        (r#"{"architectures": ["SCMP_ARCH_X86"], "archMap": [{"architecture": "SCMP_ARCH_X86"}]}"#.to_owned(), "archMap: cannot be used together with architectures"),
    ];
    for (json, cause) in cases {
        let message = Profile::parse(&json).unwrap_err().to_string();
        assert_eq!(message, format!("invalid seccomp profile: {cause}"), "{json}");
    }
    let long = " ".repeat(MAX_BYTES + 1);
    assert_eq!(
        Profile::parse(&long).unwrap_err().to_string(),
        "invalid seccomp profile: 1048577 bytes, at most 1048576 are read"
    );
}

#[test]
fn an_empty_profile_means_no_seccomp() {
    for json in ["{}", r#"{"defaultAction": "", "syscalls": null}"#] {
        assert_eq!(Profile::parse(json).unwrap().resolve::<&str>(Arch::X86_64, &[], (6, 1)), None);
    }
}

#[test]
fn scopes_select_rules_by_capability_architecture_and_kernel() {
    let json = r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
        {"name": "a", "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_A", "CAP_B"]}},
        {"name": "b", "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_A", "CAP_B"]}},
        {"name": "c", "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
        {"name": "d", "action": "SCMP_ACT_ALLOW", "excludes": {"minKernel": "4.8", "arches": ["arm64"]}},
        {"name": "e", "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["arm64", "arm"]}}]}"#;
    let profile = Profile::parse(json).unwrap();
    let names = |host, capabilities: &[&str], kernel| -> String {
        let filter = profile.resolve(host, capabilities, kernel).unwrap();
        filter.rules.iter().flat_map(|rule| rule.names.iter().map(String::as_str)).collect()
    };
    assert_eq!(names(Arch::X86_64, &[], (4, 7)), "bd");
    assert_eq!(names(Arch::X86_64, &["CAP_A"], (4, 8)), "c");
    assert_eq!(names(Arch::X86_64, &["CAP_B", "CAP_A"], (5, 0)), "ac");
    assert_eq!(names(Arch::Aarch64, &[], (3, 9)), "be");
}

#[test]
fn the_format_of_the_runtime_specification_is_read() {
    let json = r#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 13,
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_S390X"],
        "flags": ["SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
                  "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"],
        "listenerPath": "/run/agent.sock", "listenerMetadata": "id",
        "syscalls": [{"names": ["mknod"], "action": "SCMP_ACT_NOTIFY"}]}"#;
    let filter = Profile::parse(json).unwrap().resolve::<&str>(Arch::X86_64, &[], (6, 1)).unwrap();
    assert_eq!(filter.default_action, Action::Errno(13));
    assert_eq!(filter.architectures, [Arch::X86_64, Arch::S390x]);
    assert_eq!(filter.listener_path.as_deref(), Some("/run/agent.sock"));
    assert!(filter.notifies());
    let program = filter.compile(Arch::X86_64).unwrap();
    assert_eq!(program.flags, 1 | 1 << 1 | 1 << 2 | NEW_LISTENER | 1 << 4 | 1 << 5);
    let quiet = seccomp::Filter { rules: vec![], ..filter };
    assert_eq!(quiet.compile(Arch::X86_64).unwrap().flags, 0b111);
}

#[test]
fn default_profile_lists_the_companions_of_each_host() {
    let arches =
        |host| Profile::docker_default().resolve::<&str>(host, &[], (6, 1)).unwrap().architectures;
    assert_eq!(arches(Arch::X86_64), [Arch::X86_64, Arch::X86, Arch::X32]);
    assert_eq!(arches(Arch::Aarch64), [Arch::Aarch64, Arch::Arm]);
}

#[test]
fn a_filter_goes_through_a_bundle_unchanged() {
    let default =
        Profile::docker_default().resolve(Arch::X86_64, &["CAP_SYS_TIME"], (6, 1)).unwrap();
    let json = r#"{"defaultAction": "SCMP_ACT_KILL_PROCESS", "flags": ["SECCOMP_FILTER_FLAG_LOG"],
        "listenerPath": "/a", "syscalls": [
        {"names": ["a"], "action": "SCMP_ACT_TRACE", "errnoRet": 9},
        {"names": ["b", "c"], "action": "SCMP_ACT_NOTIFY",
         "args": [{"index": 5, "value": 18446744073709551615, "valueTwo": 3, "op": "SCMP_CMP_MASKED_EQ"}]}]}"#;
    let own = Profile::parse(json).unwrap().resolve::<&str>(Arch::X86_64, &[], (6, 1)).unwrap();
    for filter in [default, own] {
        assert_eq!(seccomp::Filter::from_oci(&filter.to_oci()).unwrap(), Some(filter));
    }
    assert_eq!(seccomp::Filter::from_oci(&spec::oci::Seccomp::default()).unwrap(), None);
    let unknown = spec::oci::Seccomp { default_action: "X".into(), ..Default::default() };
    assert_eq!(
        seccomp::Filter::from_oci(&unknown).unwrap_err().to_string(),
        "invalid seccomp profile: defaultAction: unknown action \"X\""
    );
}

#[test]
fn fields_that_need_each_other_are_refused_alone() {
    let rule = spec::oci::SyscallRule {
        names: vec!["mknod".into()],
        action: "SCMP_ACT_NOTIFY".into(),
        ..Default::default()
    };
    let allow = "SCMP_ACT_ALLOW".to_owned();
    let notifies = spec::oci::Seccomp {
        default_action: allow.clone(),
        syscalls: vec![rule],
        ..Default::default()
    };
    let metadata = spec::oci::Seccomp {
        default_action: allow,
        listener_metadata: Some("x".into()),
        ..Default::default()
    };
    let rule = spec::oci::SyscallRule {
        names: vec!["read".into()],
        action: "SCMP_ACT_KILL".into(),
        errno_ret: Some(1),
        ..Default::default()
    };
    let number = spec::oci::Seccomp {
        default_action: "SCMP_ACT_ALLOW".to_owned(),
        syscalls: vec![rule],
        ..Default::default()
    };
    let default = spec::oci::Seccomp { default_errno_ret: Some(1), ..number.clone() };
    let cases = [
        (&number, "syscalls[0].errnoRet: SCMP_ACT_KILL has no number"),
        (&default, "defaultErrnoRet: SCMP_ACT_ALLOW has no number"),
        (&notifies, "listenerPath: is missing, and SCMP_ACT_NOTIFY needs it"),
        (&metadata, "listenerMetadata: must not be set without listenerPath"),
    ];
    for (seccomp, cause) in cases {
        let error = seccomp::Filter::from_oci(seccomp).unwrap_err();
        assert_eq!(error.to_string(), format!("invalid seccomp profile: {cause}"));
    }
    let listens = spec::oci::Seccomp { listener_path: Some("/a".into()), ..notifies };
    assert!(seccomp::Filter::from_oci(&listens).unwrap().unwrap().notifies());
}
