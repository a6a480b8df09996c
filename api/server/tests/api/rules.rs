//! The rules that hold for every endpoint.

use crate::harness::Api;
use api_server::{Options, Version};

#[tokio::test(flavor = "multi_thread")]
async fn ping_answers_ok_with_all_its_headers() {
    let api = Api::start().await;
    for target in ["/_ping", "/v1.24/_ping", "/v1.56/_ping"] {
        let answer = api.call("GET", target).await;
        assert_eq!((answer.status, answer.reason.as_str(), answer.text()), (200, "OK", "OK"));
        assert_eq!(answer.header("Api-Version"), Some("1.56"));
        assert_eq!(answer.header("Docker-Experimental"), Some("false"));
        assert_eq!(answer.header("Ostype"), Some("linux"));
        assert_eq!(
            answer.header("Server"),
            Some(&*format!("Docker/{} (linux)", env!("CARGO_PKG_VERSION")))
        );
        assert_eq!(answer.header("Builder-Version"), Some("1"));
        assert_eq!(answer.header("Swarm"), Some("inactive"));
        assert_eq!(answer.header("Cache-Control"), Some("no-cache, no-store, must-revalidate"));
        assert_eq!(answer.header("Pragma"), Some("no-cache"));
        assert_eq!(answer.header("Content-Type"), Some("text/plain; charset=utf-8"));
    }
    let head = api.call("HEAD", "/_ping").await;
    assert_eq!((head.status, head.text()), (200, ""));
    assert_eq!(head.header("Content-Length"), Some("0"));
    assert_eq!(head.header("Api-Version"), Some("1.56"));
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_paths_and_wrong_methods_are_not_found_without_the_common_headers() {
    let api = Api::start().await;
    for (method, target) in [
        ("GET", "/"),
        ("GET", "/nothing"),
        ("GET", "/v1.41/nothing"),
        ("POST", "/_ping"),
        ("PATCH", "/info"),
    ] {
        let answer = api.call(method, target).await;
        assert_eq!(
            (answer.status, answer.text()),
            (404, "{\"message\":\"page not found\"}\n"),
            "{target}"
        );
        assert_eq!(answer.header("Content-Type"), Some("application/json"));
        assert_eq!(answer.header("Api-Version"), None, "{target}");
    }
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn options_is_answered_everywhere_with_nothing() {
    let api = Api::start().await;
    for target in ["*", "/info", "/nothing"] {
        let answer = api.call("OPTIONS", target).await;
        assert_eq!((answer.status, answer.text()), (200, ""), "{target}");
    }
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_out_of_range_are_refused_in_dockers_words() {
    let api = Api::start_with(Options { oldest: Version::new(1, 30), ..Options::default() }).await;
    let old = |asked: &str| {
        format!(
            "client version {asked} is too old. Minimum supported API version is 1.30, please upgrade your client \
             to a newer version"
        )
    };
    let answer = api.call("GET", "/v1.29/info").await;
    assert_eq!((answer.status, answer.message()), (400, old("1.29")));
    assert_eq!(answer.header("Content-Type"), Some("application/json"));
    assert_eq!(answer.header("Api-Version"), Some("1.56"));
    let answer = api.call("GET", "/v1.23/info").await;
    assert_eq!((answer.status, answer.text()), (400, format!("{}\n", old("1.23")).as_str()));
    assert_eq!(answer.header("Content-Type"), Some("text/plain; charset=utf-8"));
    for asked in ["1.57", "2.0", "1.99999999999"] {
        let answer = api.call("GET", &format!("/v{asked}/info")).await;
        let expected =
            format!("client version {asked} is too new. Maximum supported API version is 1.56");
        assert_eq!((answer.status, answer.message()), (400, expected));
    }
    assert_eq!(api.call("GET", "/v1.30/_ping").await.status, 200);
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_taken_with_slashes_and_escapes_as_they_mean() {
    let api = Api::start().await;
    for (target, name) in [
        ("/images/localhost:5000/a/b:c/json", "localhost:5000/a/b:c"),
        ("/images/localhost%3A5000%2Fa%2Fb:c/json", "localhost:5000/a/b:c"),
        ("/v1.41/images/busybox:1/json", "busybox:1"),
    ] {
        let answer = api.call("GET", target).await;
        let text = format!("no such image: {name}: No such image: {name}");
        assert_eq!((answer.status, answer.message()), (404, text));
    }
    let answer = api.call("GET", "/images/%zz/json").await;
    assert_eq!((answer.status, answer.message()), (400, "invalid URL escape \"%zz\"".into()));
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_of_both_shapes_work_and_wrong_ones_are_refused() {
    let api = Api::start().await;
    let names = async |filters: &str| {
        let encoded: String = filters.bytes().map(|b| format!("%{b:02x}")).collect();
        let answer = api.call("GET", &format!("/networks?filters={encoded}")).await;
        let networks = answer.json();
        let networks = networks.as_array().map(|list| {
            list.iter().map(|n| n["Name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        });
        (answer.status, networks.unwrap_or_else(|| vec![answer.message()]))
    };
    let some = |list: &[&str]| (200, list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>());
    assert_eq!(names("").await, some(&["bridge", "host", "none"]));
    assert_eq!(names(r#"{"name":{"o":true}}"#).await, some(&["host", "none"]));
    assert_eq!(names(r#"{"name":["^host$"]}"#).await, some(&["host"]));
    assert_eq!(
        names(r#"{"name":["bridge","none"],"driver":{"null":true}}"#).await,
        some(&["none"])
    );
    assert_eq!(names(r#"{"type":["custom"]}"#).await, some(&[]));
    assert_eq!(names("x").await, (400, vec!["invalid filter".into()]));
    assert_eq!(names(r#"{"colour":["red"]}"#).await, (400, vec!["Invalid filter 'colour'".into()]));
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_this_engine_lacks_is_said_with_the_right_status() {
    let api = Api::start().await;
    let table = [
        ("GET", "/swarm", 503, "This node is not a swarm manager."),
        ("GET", "/services", 503, "This node is not a swarm manager."),
        ("GET", "/nodes/x", 503, "This node is not a swarm manager."),
        ("POST", "/swarm/init", 503, "This node is not a swarm manager."),
        ("PUT", "/v1.42/volumes/x", 503, "volume update only valid for cluster volumes"),
        (
            "DELETE",
            "/networks/bridge",
            403,
            "bridge is a pre-defined network and cannot be removed",
        ),
        ("GET", "/networks/nope", 404, "network nope not found"),
        ("GET", "/volumes/nope", 404, "get nope: no such volume"),
    ];
    for (method, target, status, message) in table {
        let answer = api.call(method, target).await;
        assert_eq!(answer.status, status, "{target}: {}", answer.text());
        assert!(answer.message().starts_with(message), "{target}: {}", answer.text());
    }
    assert_eq!(api.call("GET", "/plugins").await.text(), "[]\n");
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_says_that_its_registry_is_not_reached() {
    let api = Api::start().await;
    let refused =
        "Get \"http://127.0.0.1:1/v2/\": dial tcp 127.0.0.1:1: connect: connection refused";
    for target in [
        "/images/create?fromImage=127.0.0.1:1/nope&tag=latest",
        "/images/create?fromImage=127.0.0.1:1/nope:1",
        "/images/create?fromImage=127.0.0.1:1/nope:",
    ] {
        let answer = api.call("POST", target).await;
        assert_eq!((answer.status, answer.message()), (500, refused.to_owned()), "{target}");
    }
    let answer = api.call("POST", "/images/create?fromImage=scratch").await;
    assert_eq!((answer.status, answer.message()), (403, "'scratch' is a reserved name".into()));
    assert_eq!(api.call("POST", "/images/create?fromImage=UPPER").await.status, 400);
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn version_and_info_name_the_engine() {
    let api = Api::start().await;
    let version = api.call("GET", "/version").await.json();
    assert_eq!(version["ApiVersion"], "1.56");
    assert_eq!(version["MinAPIVersion"], "1.24");
    assert_eq!(version["Os"], "linux");
    assert_eq!(version["Components"][0]["Name"], "Engine");
    assert_eq!(version["Components"][0]["Details"]["ApiVersion"], "1.56");
    let info = api.call("GET", "/info").await.json();
    assert_eq!(info["OSType"], "linux");
    assert_eq!(info["Swarm"]["LocalNodeState"], "inactive");
    assert_eq!(info["Images"], 0);
    assert_eq!(info["Driver"], "overlay2");
    assert!(info["MemTotal"].as_i64().unwrap() > 0);
    assert_eq!(info.get("BridgeNfIptables"), None);
    let old = api.call("GET", "/v1.46/info").await.json();
    assert_eq!(old["BridgeNfIptables"], false);
    assert_eq!(old["RuncCommit"]["Expected"], old["RuncCommit"]["ID"]);
    assert_eq!(
        old["RegistryConfig"]["AllowNondistributableArtifactsCIDRs"],
        serde_json::Value::Null
    );
    assert_eq!(old.get("FirewallBackend"), None);
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn disk_usage_has_the_old_keys_the_new_ones_or_both() {
    let api = Api::start().await;
    let keys = async |target: &str| {
        let usage = api.call("GET", target).await.json();
        usage.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ")
    };
    let old = "BuildCache Containers Images LayersSize Volumes";
    assert_eq!(keys("/v1.51/system/df?type=image&type=volume").await, old);
    assert_eq!(keys("/system/df?verbose=1&type=image").await, "ImageUsage");
    assert_eq!(
        keys("/system/df?type=volume").await,
        "BuildCache Containers Images LayersSize VolumeUsage Volumes"
    );
    let answer = api.call("GET", "/system/df?type=x").await;
    assert_eq!((answer.status, answer.message()), (400, "unknown object type: x".into()));
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_range_that_is_over_end_with_it() {
    let api = Api::start().await;
    api.json("POST", "/volumes/create", r#"{"Name":"data"}"#).await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let events = async |version: &str, since: u64, until: u64| {
        api.call("GET", &format!("{version}/events?since={since}&until={until}")).await
    };
    let answer = events("", 1, now + 1).await;
    assert_eq!(answer.header("Content-Type"), Some("application/jsonl"));
    let event: serde_json::Value = serde_json::from_str(answer.text()).unwrap();
    assert_eq!((&event["Type"], &event["Action"]), (&"volume".into(), &"create".into()));
    assert_eq!(event["Actor"]["ID"], "data");
    assert!(answer.text().ends_with("}\n"));
    let answer = events("/v1.51", 1, 2).await;
    assert_eq!(answer.header("Content-Type"), Some("application/json"));
    assert_eq!(answer.text(), "");
    let answer = events("", 2, 1).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.message(), "`since` time (2) cannot be after `until` time (1)");
    api.stop().await;
}
