//! Bodies: types, sizes, and those that stop half-way.

use crate::harness::Api;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

#[tokio::test(flavor = "multi_thread")]
async fn a_json_body_must_be_one_value_of_the_right_type() {
    let api = Api::start().await;
    let refused = async |kind: &str, body: &str| {
        let answer = api.send("POST", "/volumes/create", kind, body.as_bytes()).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.text());
        answer.message()
    };
    assert_eq!(
        refused("text/plain", "{}").await,
        "unsupported Content-Type header (text/plain): must be 'application/json'"
    );
    assert_eq!(refused("application/json", "{} {}").await, "unexpected content after JSON");
    assert_eq!(
        refused("application/json", " ").await,
        "invalid JSON: got EOF while reading request body"
    );
    assert!(refused("application/json", "{").await.starts_with("invalid JSON: "));
    assert!(refused("application/json", r#"{"Name":1}"#).await.starts_with("invalid JSON: Name: "));
    let answer = api
        .send("POST", "/volumes/create", "Application/JSON; charset=utf-8", b"{\"name\":\"ok\"}")
        .await;
    assert_eq!((answer.status, answer.json()["Name"].as_str()), (201, Some("ok")));
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_large_is_refused() {
    let api = Api::start().await;
    let body = format!("{{\"Name\":\"{}\"}}", "x".repeat(9 << 20));
    let head = format!(
        "POST /volumes/create HTTP/1.1\r\nHost: d\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    let socket = api.socket();
    let answer = tokio::task::spawn_blocking(move || {
        let mut stream = UnixStream::connect(socket).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        // The server stops reading before the end.
        stream.write_all(body.as_bytes()).ok();
        let mut answer = vec![0; 4096];
        let count = stream.read(&mut answer).unwrap();
        String::from_utf8_lossy(&answer[..count]).into_owned()
    });
    let answer = answer.await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
    assert!(answer.contains("request body is larger than 8 MiB"), "{answer}");
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_too_large_is_refused() {
    let api = Api::start().await;
    let many: String = (0..200).map(|n| format!("X-{n}: y\r\n")).collect();
    let answer = api.raw(format!("GET /_ping HTTP/1.1\r\nHost: d\r\n{many}\r\n")).await;
    assert_eq!(answer.status, 431);
    let long = "x".repeat(300 << 10);
    let answer = api.raw(format!("GET /_ping HTTP/1.1\r\nHost: d\r\nX: {long}\r\n\r\n")).await;
    assert_eq!(answer.status, 431);
    assert_eq!(api.call("GET", "/_ping").await.status, 200);
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_stops_half_way_makes_nothing() {
    let api = Api::start().await;
    let socket = api.socket();
    tokio::task::spawn_blocking(move || {
        let mut stream = UnixStream::connect(socket).unwrap();
        let head = "POST /volumes/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n\
                    Content-Length: 15\r\n\r\n{\"Name\":";
        stream.write_all(head.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
    })
    .await
    .unwrap();
    assert_eq!(api.call("GET", "/volumes").await.json()["Volumes"], serde_json::json!([]));
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn starting_with_a_body_is_refused() {
    let api = Api::start().await;
    let answer = api.json("POST", "/containers/a/start", "{\"Binds\":[]}").await;
    assert_eq!(answer.status, 400);
    let chunked = "POST /containers/a/start HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\
                   Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let answer = api.raw(chunked).await;
    assert_eq!(answer.status, 400);
    assert_eq!(
        answer.message(),
        "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24"
    );
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_a_form_body_come_before_those_of_the_query() {
    let api = Api::start().await;
    let kind = "application/x-www-form-urlencoded";
    // Nobody listens at either, so the answer names the one that was asked.
    let target = "/images/create?fromImage=127.0.0.1:1/query";
    let answer = api.send("POST", target, kind, b"fromImage=127.0.0.1:2/form").await;
    assert!(answer.message().contains("127.0.0.1:2: "), "{}", answer.text());
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_http_are_refused_and_harm_nobody() {
    let api = Api::start().await;
    for garbage in ["\x16\x03\x01\x02\r\n\r\n", "GET\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let socket = api.socket();
        tokio::task::spawn_blocking(move || {
            let mut stream = UnixStream::connect(socket).unwrap();
            stream.write_all(garbage.as_bytes()).unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).ok();
            let answer = String::from_utf8_lossy(&answer).into_owned();
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{answer}");
        })
        .await
        .unwrap();
    }
    assert_eq!(api.call("GET", "/_ping").await.status, 200);
    api.stop().await;
}
