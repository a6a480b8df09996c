//! A registry that lies in each way that is known: a clear error, bounded memory, no credential where it should not be.
#![expect(clippy::unwrap_used, reason = "tests")]

mod liar;

use distribution::{Access, Config, Credentials, Error, Repository, TransportError, Upload};
use liar::{Answer, Liar, Seen, answer};
use spec::image::media;
use spec::{Class, Digest, Reference};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

const MANIFEST: &str = r#"{"schemaVersion":2,"config":{},"layers":[]}"#;

fn config() -> Config {
    Config {
        attempts: 3,
        back_off: Duration::from_millis(1),
        idle: Duration::from_millis(300),
        ..Config::default()
    }
}

fn user() -> Credentials {
    Credentials { username: "jo".into(), password: "secret".into(), ..Credentials::default() }
}

async fn open(liar: &Liar, config: Config, credentials: Credentials) -> Repository {
    let name = Reference::parse(&format!("{}/a/b", liar.address)).unwrap();
    Repository::open(Arc::new(config), &name, Access::Push, credentials, "test").await.unwrap()
}

fn ok(body: &[u8]) -> Answer {
    answer("200 OK", &[("Content-Type", media::MANIFEST)], body)
}

fn some_digest() -> Digest {
    Digest::from_sha256(&[7; 32])
}

#[tokio::test]
async fn a_manifest_with_another_digest_is_refused() {
    let liar = Liar::start(|_| ok(MANIFEST.as_bytes())).await;
    let repository = open(&liar, config(), Credentials::default()).await;
    let error = repository.manifest(some_digest().as_str()).await.unwrap_err();
    assert!(matches!(error, Error::Digest { what: "manifest", .. }), "{error}");
    assert_eq!(error.class(), Class::InvalidArgument);
    assert!(repository.manifest("latest").await.is_ok());
}

#[tokio::test]
async fn a_manifest_of_100_mb_is_refused_whether_it_tells_its_size_or_not() {
    let liar = Liar::start(|seen: &Seen| {
        let head = "HTTP/1.1 200 OK\r\nConnection: close\r\n";
        if seen.path.ends_with("told") {
            let bytes = format!("{head}Content-Length: 104857600\r\n\r\n").into_bytes();
            return Answer { bytes, forever: vec![b' '; 65536], hang: false };
        }
        let bytes = format!("{head}\r\n").into_bytes();
        Answer { bytes, forever: vec![b' '; 65536], hang: false }
    })
    .await;
    let repository = open(&liar, config(), Credentials::default()).await;
    let told = repository.manifest("told").await.unwrap_err();
    assert_eq!(told.to_string(), "manifest has 104857600 bytes, more than 4194304");
    let endless = repository.manifest("endless").await.unwrap_err();
    assert_eq!(endless.to_string(), "manifest has 4194305 bytes, more than 4194304");
}

#[tokio::test]
async fn an_answer_that_goes_quiet_is_broken_and_tried_as_often_as_the_settings_say() {
    let liar = Liar::start(|_| {
        let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{".to_vec();
        Answer { bytes, hang: true, forever: vec![] }
    })
    .await;
    let repository = open(&liar, config(), Credentials::default()).await;
    let error = repository.manifest("slow").await.unwrap_err();
    assert!(matches!(&error, Error::Transport { source: TransportError::Idle(_), .. }), "{error}");
    assert_eq!(liar.seen().len(), 3);
}

#[tokio::test]
async fn broken_answers_and_server_errors_are_tried_again_until_one_is_good() {
    let tries = AtomicUsize::new(0);
    let liar = Liar::start(move |_| match tries.fetch_add(1, Ordering::Relaxed) {
        0 => answer("503 Service Unavailable", &[], b"<html>"),
        1 => {
            let mut cut = ok(MANIFEST.as_bytes());
            cut.bytes.truncate(cut.bytes.len() - 3);
            cut
        }
        _ => ok(MANIFEST.as_bytes()),
    })
    .await;
    let repository = open(&liar, config(), Credentials::default()).await;
    assert_eq!(repository.manifest("latest").await.unwrap().bytes, MANIFEST.as_bytes());
    assert_eq!(liar.seen().len(), 3);
}

#[tokio::test]
async fn too_many_requests_are_waited_for_but_not_for_ever() {
    let liar =
        Liar::start(|_| answer("429 Too Many Requests", &[("Retry-After", "100000")], b"")).await;
    let repository = open(&liar, config(), Credentials::default()).await;
    let error = repository.manifest("latest").await.unwrap_err();
    assert_eq!(error.to_string(), "toomanyrequests: too many requests");
    assert_eq!(liar.seen().len(), 1, "who asks for so long a wait is not asked again");
    let tries = AtomicUsize::new(0);
    let liar = Liar::start(move |_| match tries.fetch_add(1, Ordering::Relaxed) {
        0 => answer("429 Too Many Requests", &[("Retry-After", "0")], b""),
        _ => ok(MANIFEST.as_bytes()),
    })
    .await;
    let repository = open(&liar, config(), Credentials::default()).await;
    assert!(repository.manifest("latest").await.is_ok());
}

#[tokio::test]
async fn redirects_end_and_lead_to_http_only() {
    let liar = Liar::start(|seen: &Seen| match seen.path.contains("loop") {
        true => answer("307 Temporary Redirect", &[("Location", &seen.path)], b""),
        false => answer("302 Found", &[("Location", "file:///etc/passwd")], b""),
    })
    .await;
    let repository = open(&liar, config(), Credentials::default()).await;
    let error = repository.manifest("loop").await.unwrap_err();
    let Error::Transport { source, .. } = &error else { panic!("{error}") };
    assert_eq!(source.to_string(), "stopped after 10 redirects");
    assert_eq!(liar.seen().len(), 11);
    let error = repository.manifest("file").await.unwrap_err();
    let Error::Transport { source, .. } = &error else { panic!("{error}") };
    assert_eq!(
        source.to_string(),
        "redirect to \"file:///etc/passwd\", which is no http or https address"
    );
}

#[tokio::test]
async fn credentials_do_not_follow_a_redirect_to_another_server() {
    let other = Liar::start(|_| ok(MANIFEST.as_bytes())).await;
    let to = format!("http://{}/stolen", other.address);
    let liar = Liar::start(move |seen: &Seen| match &seen.authorization {
        None => answer("401 Unauthorized", &[("WWW-Authenticate", "Basic realm=\"r\"")], b""),
        Some(_) => answer("307 Temporary Redirect", &[("Location", &to)], b""),
    })
    .await;
    let repository = open(&liar, config(), user()).await;
    assert!(repository.manifest("latest").await.is_ok());
    assert_eq!(liar.seen()[1].authorization.as_deref(), Some("Basic am86c2VjcmV0"));
    assert_eq!(other.seen().len(), 1);
    assert_eq!(other.seen()[0].authorization, None);
}

#[tokio::test]
async fn tokens_are_fetched_used_and_asked_for_anonymously_without_credentials() {
    let token_server = Liar::start(|_| answer("200 OK", &[], br#"{"token":"T"}"#)).await;
    let challenge = format!(
        r#"Bearer realm="http://{}/token",service="s",scope="repository:a/b:pull""#,
        token_server.address
    );
    let liar = Liar::start(move |seen: &Seen| match seen.authorization.as_deref() {
        Some("Bearer T") => ok(MANIFEST.as_bytes()),
        _ => answer("401 Unauthorized", &[("WWW-Authenticate", &challenge)], b""),
    })
    .await;
    let repository = open(&liar, config(), user()).await;
    for _ in 0..2 {
        assert!(repository.manifest("latest").await.is_ok());
    }
    let asked = token_server.seen();
    assert_eq!(asked.len(), 1, "the token is kept");
    assert_eq!(asked[0].authorization.as_deref(), Some("Basic am86c2VjcmV0"));
    assert_eq!(asked[0].path, "/token?account=jo&scope=repository%3Aa%2Fb%3Apull%2Cpush&service=s");
    let repository = open(&liar, config(), Credentials::default()).await;
    assert!(repository.manifest("latest").await.is_ok());
    assert_eq!(token_server.seen()[1].authorization, None);
    let refresh = Credentials { identitytoken: "R".into(), ..Credentials::default() };
    let repository = open(&liar, config(), refresh).await;
    assert!(repository.manifest("latest").await.is_ok());
    let asked = &token_server.seen()[2];
    assert_eq!((&*asked.method, &*asked.path), ("POST", "/token"));
    let form = String::from_utf8(asked.body.clone()).unwrap();
    assert!(form.contains("grant_type=refresh_token&refresh_token=R&"), "{form}");
}

#[tokio::test]
async fn a_token_server_that_is_no_server_is_refused() {
    let liar = Liar::start(|_| {
        answer("401 Unauthorized", &[("WWW-Authenticate", "Bearer realm=\"ftp://x\"")], b"")
    })
    .await;
    let repository = open(&liar, config(), user()).await;
    let error = repository.manifest("latest").await.unwrap_err();
    assert_eq!(error.to_string(), "get token from ftp://x: the address is neither http nor https");
}

#[tokio::test]
async fn a_token_that_is_not_enough_is_told_as_a_denial() {
    let token_server = Liar::start(|_| answer("200 OK", &[], br#"{"access_token":"weak"}"#)).await;
    let challenge = format!(
        r#"Bearer realm="http://{}/token",error="insufficient_scope""#,
        token_server.address
    );
    let liar = Liar::start(move |_| {
        let body = br#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#;
        answer("401 Unauthorized", &[("WWW-Authenticate", &challenge)], body)
    })
    .await;
    let repository = open(&liar, config(), user()).await;
    let error = repository.manifest("latest").await.unwrap_err();
    let refusal = error.refusal().unwrap();
    assert_eq!(refusal.code(), distribution::Code::Denied);
    assert_eq!(refusal.errors[0].1, "requested access to the resource is denied");
    assert_eq!(liar.seen().len(), 2);
}

#[tokio::test]
async fn without_credentials_basic_authentication_is_a_failure_of_its_own() {
    let liar = Liar::start(|_| {
        answer("401 Unauthorized", &[("WWW-Authenticate", "Basic realm=\"r\"")], b"")
    })
    .await;
    let repository = open(&liar, config(), Credentials::default()).await;
    let error = repository.manifest("latest").await.unwrap_err();
    assert!(matches!(error, Error::NoCredentials { .. }), "{error}");
    let repository = open(&liar, config(), user()).await;
    let error = repository.manifest("latest").await.unwrap_err();
    assert_eq!(error.class(), Class::Unauthorized);
    assert_eq!(liar.seen().len(), 3, "a wrong password is not tried again and again");
}

#[tokio::test]
async fn a_blob_that_is_longer_than_its_manifest_says_is_refused_at_once() {
    let liar = Liar::start(|_| {
        let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n".to_vec();
        Answer { bytes, forever: vec![0; 4096], hang: false }
    })
    .await;
    let repository = open(&liar, config(), Credentials::default()).await;
    let error = repository.blob(&some_digest(), 0, 10).await.unwrap_err();
    assert!(
        error.to_string().ends_with("the blob has more than the 10 bytes that its manifest says"),
        "{error}"
    );
}

#[tokio::test]
async fn a_range_is_asked_for_and_what_the_answer_is_not_is_refused_or_dropped() {
    let liar = Liar::start(|seen: &Seen| match seen.path.contains("07070707") {
        true => answer("206 Partial Content", &[("Content-Range", "bytes 0-9/10")], b"0123456789"),
        false => answer("200 OK", &[], b"0123456789"),
    })
    .await;
    let repository = open(&liar, config(), Credentials::default()).await;
    let error = repository.blob(&some_digest(), 4, 10).await.unwrap_err();
    assert!(error.to_string().contains("the answer has the range"), "{error}");
    assert_eq!(liar.seen()[0].range.as_deref(), Some("bytes=4-"));
    let mut stream = repository.blob(&Digest::from_sha256(&[8; 32]), 4, 10).await.unwrap();
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await.unwrap() {
        bytes.extend_from_slice(&piece);
    }
    assert_eq!(bytes, b"456789", "a registry without ranges sends all, and the rest is taken");
}

#[tokio::test]
async fn tags_that_never_end_are_refused_and_names_with_tricks_are_left_out() {
    let page = AtomicUsize::new(0);
    let liar = Liar::start(move |_| {
        let number = page.fetch_add(1, Ordering::Relaxed);
        let tags: Vec<String> = (0..1000).map(|n| format!("\"t{number}-{n}\"")).collect();
        let body = format!("{{\"tags\":[\"../../etc\",\"a b\",\"\",{}]}}", tags.join(","));
        let link = format!("</v2/a/b/tags/list?page={number}>; rel=\"next\"");
        answer("200 OK", &[("Link", &link)], body.as_bytes())
    })
    .await;
    let repository = open(&liar, config(), Credentials::default()).await;
    let error = repository.tags().await.unwrap_err();
    assert!(error.to_string().ends_with("the repository has more than 10000 tags"), "{error}");
    let liar = Liar::start(|_| answer("200 OK", &[], br#"{"tags":["../x","ok"]}"#)).await;
    let repository = open(&liar, config(), Credentials::default()).await;
    assert_eq!(repository.tags().await.unwrap(), ["ok"]);
}

#[tokio::test]
async fn a_server_that_breaks_off_tls_and_speaks_no_http_is_not_reached() {
    let liar =
        Liar::start(|_| Answer { bytes: b"\x00\x01garbage\r\n".to_vec(), ..Answer::default() })
            .await;
    let repository = open(&liar, config(), Credentials::default()).await;
    let error = repository.manifest("latest").await.unwrap_err();
    assert!(matches!(error, Error::Transport { .. }), "{error}");
}

#[tokio::test]
async fn registries_that_the_policy_does_not_name_get_no_request() {
    let liar = Liar::start(|_| ok(MANIFEST.as_bytes())).await;
    let config = Config { allowed: Some(vec!["docker.io".into()]), ..config() };
    let name = Reference::parse(&format!("{}/a", liar.address)).unwrap();
    let opened =
        Repository::open(Arc::new(config), &name, Access::Pull, user(), "").await.unwrap_err();
    assert_eq!(opened.class(), Class::Forbidden);
    assert_eq!(liar.seen().len(), 0);
}

#[tokio::test]
async fn an_upload_goes_on_where_the_connection_broke() {
    let tries = AtomicUsize::new(0);
    let liar = Liar::start(move |seen: &Seen| {
        let location = ("Location", "/v2/a/b/blobs/uploads/u");
        match &*seen.method {
            "HEAD" => answer("404 Not Found", &[], b""),
            "POST" => answer("202 Accepted", &[location], b""),
            "PATCH" if tries.fetch_add(1, Ordering::Relaxed) == 0 => Answer::default(),
            "PATCH" => answer("202 Accepted", &[location], b""),
            "GET" => answer("204 No Content", &[location, ("Range", "0-3")], b""),
            _ => answer("201 Created", &[], b""),
        }
    })
    .await;
    let repository = open(&liar, config(), Credentials::default()).await;
    let mut file = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut file, b"0123456789").unwrap();
    let sent = Arc::new(AtomicU64::new(0));
    let upload = Upload { digest: some_digest(), size: 10, file: Arc::new(file), sent };
    repository.upload(&upload, &[]).await.unwrap();
    let bodies: Vec<String> = liar
        .seen()
        .into_iter()
        .filter(|seen| seen.method == "PATCH")
        .map(|seen| String::from_utf8(seen.body).unwrap())
        .collect();
    assert_eq!(bodies, ["0123456789", "456789"]);
}

#[tokio::test]
async fn a_mirror_that_fails_is_passed_over_and_sees_no_credentials() {
    let mirror = Liar::start(|_| answer("404 Not Found", &[], b"")).await;
    let liar = Liar::start(|seen: &Seen| match &seen.authorization {
        None => answer("401 Unauthorized", &[("WWW-Authenticate", "Basic realm=\"r\"")], b""),
        Some(_) => ok(MANIFEST.as_bytes()),
    })
    .await;
    let mut config = config();
    let url = format!("http://{}/cache", mirror.address);
    let entry = distribution::Mirror { url, credentials: Credentials::default() };
    config.mirrors.insert(liar.address.to_string(), vec![entry]);
    let name = Reference::parse(&format!("{}/a/b", liar.address)).unwrap();
    let repository =
        Repository::open(Arc::new(config), &name, Access::Pull, user(), "").await.unwrap();
    assert!(repository.manifest("latest").await.is_ok());
    assert_eq!(mirror.seen()[0].path, "/cache/v2/a/b/manifests/latest");
    assert!(mirror.seen().iter().all(|seen| seen.authorization.is_none()));
}

#[tokio::test]
async fn an_index_is_searched_with_the_term_and_the_limit() {
    let liar = Liar::start(|_| {
        let body = br#"{"num_results":1,"results":[{"name":"a/b","description":"x","star_count":3,
            "is_official":true}]}"#;
        answer("200 OK", &[], body)
    })
    .await;
    let term = format!("{}/some thing", liar.address);
    let nobody = Credentials::default();
    let found =
        distribution::search(Arc::new(config()), &term, Some(7), &nobody, "").await.unwrap();
    assert_eq!((&*found[0].name, found[0].star_count, found[0].is_official), ("a/b", 3, true));
    assert_eq!(liar.seen()[0].path, "/v1/search?q=some%20thing&n=7");
}

#[tokio::test]
async fn a_login_shows_the_password_and_brings_a_refresh_token_back() {
    let token_server = Liar::start(|seen: &Seen| match &seen.authorization {
        Some(_) => answer("200 OK", &[], br#"{"token":"T","refresh_token":"R"}"#),
        None => answer("401 Unauthorized", &[], b""),
    })
    .await;
    let challenge = format!(r#"Bearer realm="http://{}/t",service="s""#, token_server.address);
    let liar = Liar::start(move |seen: &Seen| match seen.authorization.as_deref() {
        Some("Bearer T") => answer("200 OK", &[], b"{}"),
        _ => answer("401 Unauthorized", &[("WWW-Authenticate", &challenge)], b""),
    })
    .await;
    let (config, server) = (Arc::new(config()), liar.address.to_string());
    let login = distribution::login(Arc::clone(&config), &server, user(), "").await.unwrap();
    assert_eq!(login.identity_token, "R");
    assert_eq!(
        token_server.seen()[0].path,
        "/t?account=jo&client_id=coffer&offline_token=true&service=s"
    );
    let refused = distribution::login(config, &server, Credentials::default(), "").await;
    assert_eq!(refused.unwrap_err().class(), Class::Unauthorized);
}
