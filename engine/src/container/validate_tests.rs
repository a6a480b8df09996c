use super::super::validate_network::mac;
use super::*;

fn validated(json: &str) -> Result<(CreateBody, Vec<String>), Failure> {
    let mut body: CreateBody = serde_json::from_str(json).unwrap();
    let warnings = validate(&mut body, &EngineConfig::default(), &Facts::everything())?;
    Ok((body, warnings))
}

fn refusal(json: &str) -> String {
    validated(json).unwrap_err().message
}

#[test]
fn what_the_docker_client_sends_for_nothing_asked_is_accepted_and_means_defaults() {
    let (body, warnings) = validated(
        r#"{"Image":"busybox","Hostname":"","HostConfig":{"MemorySwappiness":-1,"PidsLimit":0,"OomKillDisable":false,
        "RestartPolicy":{"Name":"no","MaximumRetryCount":0},"ConsoleSize":[0,0],"ShmSize":0,"NetworkMode":"default"},
        "NetworkingConfig":{"EndpointsConfig":{"default":{}}}}"#,
    )
    .unwrap();
    let host = &body.host_config;
    assert!(warnings.is_empty());
    assert_eq!((host.network_mode.as_str(), host.ipc_mode.as_str()), ("bridge", "private"));
    assert_eq!((host.shm_size, host.pids_limit, host.memory_swappiness), (64 << 20, None, None));
    assert_eq!((host.cgroupns_mode.as_str(), host.runtime.as_str()), ("private", "runc"));
    assert_eq!(host.log_config.driver, "json-file");
    assert!(body.networking_config.endpoints_config.contains_key("bridge"));
}

#[test]
fn the_cgroup_namespace_is_the_hosts_on_v1() {
    let facts = Facts { cgroup_v2: false, ..Facts::everything() };
    let mut body = CreateBody::default();
    validate(&mut body, &EngineConfig::default(), &facts).unwrap();
    assert_eq!(body.host_config.cgroupns_mode, "host");
}

#[test]
fn conflicts_with_the_network_mode_are_refused_in_dockers_words() {
    for (json, text) in [
        (
            r#"{"Hostname":"a","HostConfig":{"UTSMode":"host"}}"#,
            "conflicting options: hostname and the UTS mode",
        ),
        (
            r#"{"Hostname":"a","HostConfig":{"NetworkMode":"container:x"}}"#,
            "conflicting options: hostname and the network mode",
        ),
        (
            r#"{"HostConfig":{"NetworkMode":"container:x","Dns":["1.1.1.1"]}}"#,
            "conflicting options: dns and the network mode",
        ),
        (
            r#"{"ExposedPorts":{"80/tcp":{}},"HostConfig":{"NetworkMode":"container:x"}}"#,
            "conflicting options: port exposing and the container type network mode",
        ),
    ] {
        assert_eq!(refusal(json), text);
    }
}

#[test]
fn wrong_settings_are_refused_in_dockers_words() {
    for (json, text) in [
        (
            r#"{"WorkingDir":"x"}"#,
            "the working directory 'x' is invalid, it needs to be an absolute path",
        ),
        (r#"{"StopSignal":"NOPE"}"#, "Invalid signal: NOPE"),
        (r#"{"Env":["=x"]}"#, "invalid environment variable: =x"),
        (r#"{"Healthcheck":{"Interval":5}}"#, "Interval in Healthcheck cannot be less than 1ms"),
        (r#"{"Healthcheck":{"Retries":-1}}"#, "Retries in Healthcheck cannot be negative"),
        (
            r#"{"HostConfig":{"AutoRemove":true,"RestartPolicy":{"Name":"always"}}}"#,
            "can't create 'AutoRemove' container with restart policy",
        ),
        (
            r#"{"HostConfig":{"RestartPolicy":{"Name":"often"}}}"#,
            "invalid restart policy: unknown policy 'often'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'",
        ),
        (
            r#"{"HostConfig":{"RestartPolicy":{"Name":"always","MaximumRetryCount":3}}}"#,
            "invalid restart policy: maximum retry count can only be used with 'on-failure'",
        ),
        (r#"{"HostConfig":{"CapAdd":["fly"]}}"#, "invalid CapAdd: unknown capability: \"CAP_FLY\""),
        (r#"{"HostConfig":{"IpcMode":"odd"}}"#, "Invalid IPC mode: odd"),
        (r#"{"HostConfig":{"PidMode":"container:"}}"#, "invalid PID mode: container:"),
        (r#"{"HostConfig":{"UTSMode":"odd"}}"#, "invalid UTS mode: odd"),
        (r#"{"HostConfig":{"CgroupnsMode":"odd"}}"#, "invalid cgroup namespace mode: odd"),
        (r#"{"HostConfig":{"Runtime":"odd"}}"#, "Unknown runtime specified odd"),
        (
            r#"{"HostConfig":{"OomScoreAdj":-1001}}"#,
            "Invalid value -1001, range for oom score adj is [-1000, 1000]",
        ),
        (r#"{"HostConfig":{"ShmSize":-1}}"#, "SHM size can not be less than 0"),
        (
            r#"{"HostConfig":{"Isolation":"hyperv"}}"#,
            "Invalid isolation: \"hyperv\" - linux only supports 'default'",
        ),
        (r#"{"HostConfig":{"Tmpfs":{"/":""}}}"#, "invalid specification: destination can't be '/'"),
        (r#"{"HostConfig":{"ExtraHosts":["nope"]}}"#, "bad format for add-host: \"nope\""),
        (r#"{"HostConfig":{"ExtraHosts":["a:nope"]}}"#, "invalid IP address in add-host: \"nope\""),
        (
            r#"{"HostConfig":{"PortBindings":{"http":null}}}"#,
            "invalid port specification: \"http\"",
        ),
        (
            r#"{"HostConfig":{"PortBindings":{"80/tcp":[{"HostPort":"9-8"}]}}}"#,
            "invalid port specification: \"9-8\"",
        ),
        (r#"{"HostConfig":{"SecurityOpt":["x=y"]}}"#, "invalid --security-opt 2: \"x=y\""),
        (
            r#"{"HostConfig":{"LogConfig":{"Type":"odd"}}}"#,
            "error looking up logging plugin odd: plugin \"odd\" not found",
        ),
        (
            r#"{"HostConfig":{"DeviceRequests":[{"Driver":"nvidia","Capabilities":[["gpu"]]}]}}"#,
            "could not select device driver \"nvidia\" with capabilities: [[gpu]]",
        ),
        (
            r#"{"NetworkingConfig":{"EndpointsConfig":{"bridge":null}}}"#,
            "invalid config for network bridge: EndpointsConfig is nil",
        ),
    ] {
        assert_eq!(refusal(json), text, "{json}");
    }
    let long = "h".repeat(65);
    assert_eq!(
        refusal(&format!("{{\"Hostname\":\"{long}\"}}")),
        format!("hostname \"{long}\" is too long (maximum 64 bytes)")
    );
}

#[test]
fn ports_that_cannot_be_published_are_a_warning() {
    let (_, warnings) =
        validated(r#"{"HostConfig":{"NetworkMode":"host","PortBindings":{"80/tcp":null}}}"#)
            .unwrap();
    assert_eq!(warnings, ["Published ports are discarded when using host network mode"]);
}

#[test]
fn hardware_addresses_have_six_bytes() {
    assert_eq!(mac("02:42:ac:11:00:02").unwrap(), [2, 0x42, 0xac, 0x11, 0, 2]);
    for bad in ["", "02:42", "02:42:ac:11:00:02:03", "2:42:ac:11:0:2", "zz:42:ac:11:00:02"] {
        assert!(mac(bad).is_err(), "{bad}");
    }
}
