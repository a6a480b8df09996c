//! Images: load, import, save, name, show and remove, on the wire.

use crate::harness::{Api, saved_busybox, tar};
use serde_json::{Value, json};

async fn load(api: &Api) -> String {
    let (archive, id) = saved_busybox("busybox:test");
    let answer = api.send("POST", "/images/load?quiet=1", "application/x-tar", &archive).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("Content-Type"), Some("application/json"));
    assert_eq!(answer.text(), "{\"stream\":\"Loaded image: busybox:test\\n\"}\r\n");
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loaded_image_is_listed_and_shown_in_the_form_of_each_version() {
    let api = Api::start().await;
    let id = load(&api).await;
    let newest = api.call("GET", "/images/json").await.json();
    assert_eq!(
        newest,
        json!([{
            "Containers": 0, "Created": 1_704_164_645, "Id": id, "Labels": {"team": "a"}, "ParentId": "",
            "RepoDigests": [], "RepoTags": ["busybox:test"], "SharedSize": -1, "Size": 1000,
        }])
    );
    let v150 = api.call("GET", "/v1.50/images/json").await.json();
    assert_eq!(v150[0]["Containers"], -1);
    let v143 = api.call("GET", "/v1.43/images/json").await.json();
    assert_eq!(v143[0]["VirtualSize"], 1000);

    let shown = async |version: &str| {
        api.call("GET", &format!("{version}/images/busybox:test/json")).await.json()
    };
    let keys =
        |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    let newest = shown("").await;
    assert_eq!(newest["Id"], *id);
    assert_eq!(
        keys(&newest),
        "Architecture Author Config Created GraphDriver Id Metadata Os RepoDigests RepoTags RootFS Size"
    );
    assert_eq!(
        newest["Config"],
        json!({"Cmd": ["sh"], "Env": ["PATH=/bin"], "Labels": {"team": "a"}})
    );
    let v151 = shown("/v1.51").await;
    assert_eq!(v151["Parent"], "");
    assert_eq!(v151["DockerVersion"], "");
    assert_eq!(keys(&v151["Config"]), "Cmd Entrypoint Env Labels OnBuild User Volumes WorkingDir");
    assert_eq!(v151["Config"]["Entrypoint"], Value::Null);
    let v149 = shown("/v1.49").await;
    assert_eq!(v149["Config"]["AttachStdin"], false);
    assert_eq!(v149.get("Container"), None);
    let v144 = shown("/v1.44").await;
    assert_eq!(v144["Container"], "");
    assert_eq!(v144["ContainerConfig"]["Cmd"], Value::Null);
    assert_eq!(v144.get("VirtualSize"), None);
    assert_eq!(shown("/v1.43").await["VirtualSize"], 1000);
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_without_names_is_none_none_for_old_clients() {
    let api = Api::start().await;
    let id = load(&api).await;
    let answer = api.call("DELETE", "/images/busybox:test?noprune=1").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let imported =
        api.send("POST", "/images/create?fromSrc=-", "text/plain", &tar(&[("a", b"b")])).await;
    assert_eq!(imported.status, 200, "{}", imported.text());
    let status: Value = serde_json::from_str(imported.text()).unwrap();
    let new = status["status"].as_str().unwrap().to_owned();
    assert_ne!(new, id);
    let tags = async |version: &str| {
        let list = api.call("GET", &format!("{version}/images/json")).await.json();
        (list[0]["RepoTags"].clone(), list[0]["RepoDigests"].clone())
    };
    assert_eq!(tags("/v1.42").await, (json!(["<none>:<none>"]), json!(["<none>@<none>"])));
    assert_eq!(tags("/v1.43").await, (json!([]), json!([])));
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_given_and_taken_away() {
    let api = Api::start().await;
    let id = load(&api).await;
    let tag = async |target: &str| api.call("POST", target).await;
    assert_eq!(tag("/images/busybox:test/tag?repo=localhost:5000/a/b&tag=c").await.status, 201);
    assert_eq!(tag("/images/nope/tag?repo=x").await.status, 404);
    let answer = tag("/images/busybox:test/tag?repo=UPPER").await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    let removed = api.call("DELETE", "/images/localhost:5000/a/b:c").await;
    assert_eq!(removed.json(), json!([{"Untagged": "localhost:5000/a/b:c"}]));
    let removed = api.call("DELETE", "/images/busybox:test").await.json();
    assert_eq!(removed[0], json!({"Untagged": "busybox:test"}));
    assert_eq!(removed[1], json!({"Deleted": id}));
    assert_eq!(api.call("GET", "/images/json").await.text(), "[]\n");
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_saved_can_be_loaded_again() {
    let api = Api::start().await;
    let id = load(&api).await;
    let saved = api.call("GET", "/images/get?names=busybox:test").await;
    assert_eq!((saved.status, saved.header("Content-Type")), (200, Some("application/x-tar")));
    let same = api.call("GET", "/images/busybox:test/get").await;
    assert_eq!(same.body, saved.body);
    assert_eq!(api.call("DELETE", "/images/busybox:test").await.status, 200);
    let loaded = api.send("POST", "/images/load", "application/x-tar", &saved.body).await;
    assert_eq!(loaded.text(), "{\"stream\":\"Loaded image: busybox:test\\n\"}\r\n");
    assert_eq!(api.call("GET", "/images/busybox:test/json").await.json()["Id"], *id);
    let missing = api.call("GET", "/images/get?names=nope").await;
    assert_eq!((missing.status, missing.header("Content-Type")), (404, Some("application/json")));
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_archive_is_told_in_the_stream() {
    let api = Api::start().await;
    for body in [&b"no archive at all"[..], &tar(&[("a", b"b")])] {
        let answer = api.send("POST", "/images/load", "application/x-tar", body).await;
        assert_eq!(answer.status, 200);
        let error: Value = serde_json::from_str(answer.text()).unwrap();
        assert_eq!(error["errorDetail"]["message"], error["error"]);
        assert_ne!(error["error"], Value::Null);
    }
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn history_names_the_image_at_its_newest_step() {
    let api = Api::start().await;
    let id = load(&api).await;
    let history = api.call("GET", "/images/busybox:test/history").await.json();
    assert_eq!(
        history,
        json!([{
            "Comment": "", "Created": 1_704_164_645, "CreatedBy": "ADD busybox", "Id": id, "Size": 1000,
            "Tags": ["busybox:test"],
        }])
    );
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unused_images_are_pruned_with_dangling_false() {
    let api = Api::start().await;
    let id = load(&api).await;
    let pruned = api.call("POST", "/images/prune").await.json();
    assert_eq!(pruned, json!({"ImagesDeleted": null, "SpaceReclaimed": 0}));
    let target = "/images/prune?filters=%7B%22dangling%22:%7B%22false%22:true%7D%7D";
    let pruned = api.call("POST", target).await.json();
    assert_eq!(pruned["ImagesDeleted"][0], json!({"Untagged": "busybox:test"}));
    assert_eq!(pruned["ImagesDeleted"][1], json!({"Deleted": id}));
    assert!(pruned["SpaceReclaimed"].as_u64().unwrap() > 0);
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_that_an_image_does_not_have_is_not_found() {
    let api = Api::start().await;
    load(&api).await;
    let of = |architecture: &str| {
        format!(
            "/images/busybox:test/json?platform=%7B%22os%22:%22linux%22,%22architecture%22:%22{architecture}%22%7D"
        )
    };
    assert_eq!(api.call("GET", &of("amd64")).await.status, 200);
    assert_eq!(api.call("GET", &of("arm64")).await.status, 404);
    let both = format!("{}&manifests=1", of("amd64"));
    let answer = api.call("GET", &both).await;
    assert_eq!(answer.status, 400);
    assert_eq!(
        answer.message(),
        "conflicting options: manifests and platform options cannot both be set"
    );
    api.stop().await;
}
