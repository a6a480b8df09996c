//! Volumes.

use crate::harness::Api;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_is_made_once_shown_listed_and_removed() {
    let api = Api::start().await;
    let body = r#"{"Name":"data","Labels":{"team":"a"}}"#;
    let made = api.json("POST", "/volumes/create", body).await;
    assert_eq!(made.status, 201);
    let shown = made.json();
    assert_eq!(shown["Name"], "data");
    assert_eq!(shown["Driver"], "local");
    assert_eq!(shown["Scope"], "local");
    assert_eq!(shown["Labels"], json!({"team": "a"}));
    assert_eq!(shown["Options"], json!(null));
    assert!(shown["Mountpoint"].as_str().unwrap().ends_with("/volumes/data/_data"));
    assert_eq!(api.json("POST", "/volumes/create", "{\"Name\":\"data\"}").await.json(), shown);
    assert_eq!(api.call("GET", "/volumes/data").await.json(), shown);
    let list = api.call("GET", "/volumes").await;
    assert_eq!(list.json(), json!({"Volumes": [shown], "Warnings": null}));
    assert_eq!(api.call("DELETE", "/volumes/data").await.status, 204);
    assert_eq!(api.call("DELETE", "/volumes/data").await.status, 404);
    assert_eq!(api.call("DELETE", "/volumes/data?force=1").await.status, 204);
    assert_eq!(api.call("GET", "/volumes").await.text(), "{\"Volumes\":[],\"Warnings\":null}\n");
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_anonymous_volumes_are_pruned_unless_all_are_asked_for_or_the_client_is_old() {
    let api = Api::start().await;
    let anonymous = api.json("POST", "/volumes/create", "{}").await.json();
    let name = anonymous["Name"].as_str().unwrap().to_owned();
    assert_eq!(name.len(), 64);
    assert_eq!(anonymous["Labels"], json!({"com.docker.volume.anonymous": ""}));
    api.json("POST", "/volumes/create", r#"{"Name":"named"}"#).await;
    let pruned = api.call("POST", "/volumes/prune").await.json();
    assert_eq!(pruned, json!({"VolumesDeleted": [name], "SpaceReclaimed": 4096}));
    let pruned = api.call("POST", "/volumes/prune").await.json();
    assert_eq!(pruned, json!({"VolumesDeleted": null, "SpaceReclaimed": 0}));
    let pruned = api.call("POST", "/v1.41/volumes/prune").await.json();
    assert_eq!(pruned, json!({"VolumesDeleted": ["named"], "SpaceReclaimed": 4096}));
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_volumes_are_refused() {
    let api = Api::start().await;
    let table = [
        (r#"{"Name":"a/b"}"#, 400),
        (r#"{"Name":".."}"#, 400),
        (r#"{"Name":"ok","Driver":"nope"}"#, 404),
        (r#"{"Name":"ok","DriverOpts":{"colour":"red"}}"#, 400),
        (r#"{"Name":"ok","DriverOpts":{"size":"1g"}}"#, 501),
    ];
    for (body, status) in table {
        let answer = api.json("POST", "/volumes/create", body).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
    }
    api.stop().await;
}
