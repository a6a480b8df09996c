//! Who may do what: passwords, rules, tokens, TLS.

use crate::rig::{Answer, Running, connect, read_answer};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use registry::{AccessOptions, Action, Options, Rule, TlsFiles};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, ClientConfig, ClientConnection, RootCertStore, StreamOwned};

fn passwords() -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    let line = |user: &str| format!("{user}:{}\n", bcrypt::hash(format!("{user}-pw"), 4).unwrap());
    std::fs::write(file.path(), line("ann") + &line("bob")).unwrap();
    file
}

fn rules() -> Vec<Rule> {
    let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
    vec![
        Rule {
            users: texts(&["anonymous"]),
            repositories: texts(&["public/*"]),
            actions: vec![Action::Pull],
        },
        Rule { users: texts(&["ann"]), repositories: texts(&["*"]), actions: Action::ALL.to_vec() },
        Rule {
            users: texts(&["*"]),
            repositories: texts(&["home/{user}/*"]),
            actions: vec![Action::Pull, Action::Push],
        },
    ]
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

fn with(registry: &Running, method: &str, path: &str, authorization: &str) -> Answer {
    registry.ask(method, path, &[("Authorization", authorization)], b"")
}

#[test]
fn a_password_opens_what_the_rules_say() {
    let file = passwords();
    let access = AccessOptions::Passwords {
        file: file.path().to_owned(),
        rules: rules(),
        realm: "test".to_owned(),
    };
    let registry = Running::with(Options { access, ..Options::default() });
    let nobody = registry.get("/v2/");
    assert_eq!((nobody.status, nobody.code().as_str()), (401, "UNAUTHORIZED"));
    assert_eq!(nobody.header("WWW-Authenticate"), "Basic realm=\"test\"");
    assert_eq!(registry.get("/healthz").status, 200);

    let (ann, bob) = (basic("ann", "ann-pw"), basic("bob", "bob-pw"));
    let table = [
        (Some(&ann), "GET", "/v2/", 200),
        (Some(&bob), "GET", "/v2/", 200),
        (None, "GET", "/v2/public/a/manifests/v1", 404),
        (None, "POST", "/v2/public/a/blobs/uploads/", 401),
        (None, "GET", "/v2/private/manifests/v1", 401),
        (Some(&bob), "GET", "/v2/private/manifests/v1", 403),
        (Some(&bob), "POST", "/v2/home/bob/x/blobs/uploads/", 202),
        (Some(&bob), "POST", "/v2/home/ann/x/blobs/uploads/", 403),
        (Some(&bob), "DELETE", "/v2/home/bob/x/manifests/v1", 403),
        (Some(&bob), "GET", "/v2/_catalog", 403),
        (Some(&ann), "GET", "/v2/_catalog", 200),
        (Some(&ann), "DELETE", "/v2/home/bob/x/manifests/v1", 404),
    ];
    for (user, method, path, status) in table {
        let answer = match user {
            Some(user) => with(&registry, method, path, user),
            None => registry.ask(method, path, &[], b""),
        };
        assert_eq!(answer.status, status, "{method} {path}");
        if status == 403 {
            assert_eq!(answer.code(), "DENIED");
        }
    }
    for wrong in [
        basic("ann", "bob-pw"),
        basic("eve", "x"),
        basic("", ""),
        "Basic !".to_owned(),
        "Bearer x".to_owned(),
    ] {
        let answer = with(&registry, "GET", "/v2/", &wrong);
        assert!([400, 401].contains(&answer.status), "{wrong}: {}", answer.status);
        assert_eq!(answer.code(), "UNAUTHORIZED");
    }
}

#[test]
fn a_blob_that_may_not_be_read_is_not_mounted() {
    let file = passwords();
    let access = AccessOptions::Passwords {
        file: file.path().to_owned(),
        rules: rules(),
        realm: "test".to_owned(),
    };
    let registry = Running::with(Options { access, ..Options::default() });
    let digest = crate::rig::sha256(b"secret");
    let authorization = basic("ann", "ann-pw");
    let headers = [("Authorization", authorization.as_str())];
    let path = format!("/v2/private/blobs/uploads/?digest={digest}");
    assert_eq!(registry.ask("POST", &path, &headers, b"secret").status, 201);
    for from in ["&from=private", ""] {
        let path = format!("/v2/home/bob/x/blobs/uploads/?mount={digest}{from}");
        assert_eq!(with(&registry, "POST", &path, &basic("bob", "bob-pw")).status, 202);
        assert_eq!(
            with(&registry, "POST", &path, &authorization).status,
            if from.is_empty() { 202 } else { 201 }
        );
        let blob = format!("/v2/home/bob/x/blobs/{digest}");
        with(&registry, "DELETE", &blob, &authorization);
    }
}

#[test]
fn own_tokens_allow_what_the_rules_say_and_nothing_else() {
    let file = passwords();
    let access = AccessOptions::OwnTokens {
        file: file.path().to_owned(),
        rules: rules(),
        service: "test".to_owned(),
    };
    let registry = Running::with(Options { access, ..Options::default() });
    let asked = registry.ask("POST", "/v2/home/bob/x/blobs/uploads/", &[], b"");
    assert_eq!(asked.status, 401);
    let realm = format!("{}/token", registry.url());
    assert_eq!(
        asked.header("WWW-Authenticate"),
        format!(
            "Bearer realm=\"{realm}\",service=\"test\",scope=\"repository:home/bob/x:pull,push\""
        )
    );
    let token = |authorization: Option<String>, scope: &str| {
        let path = format!("/token?service=test&scope={scope}");
        let headers: Vec<_> =
            authorization.iter().map(|text| ("Authorization", text.as_str())).collect();
        let answer = registry.ask("GET", &path, &headers, b"");
        let token = answer.status == 200;
        token.then(|| format!("Bearer {}", answer.json()["token"].as_str().unwrap()))
    };
    assert_eq!(token(Some(basic("bob", "wrong")), "repository:home/bob/x:pull"), None);
    let bob = token(Some(basic("bob", "bob-pw")), "repository:home/bob/x:pull,push").unwrap();
    assert_eq!(with(&registry, "POST", "/v2/home/bob/x/blobs/uploads/", &bob).status, 202);
    let elsewhere = with(&registry, "POST", "/v2/home/bob/y/blobs/uploads/", &bob);
    assert!(elsewhere.header("WWW-Authenticate").ends_with("error=\"insufficient_scope\""));
    // Asked for too much, the token is only for what may be.
    let private =
        token(Some(basic("bob", "bob-pw")), "repository:private:pull,push,delete").unwrap();
    assert_eq!(with(&registry, "GET", "/v2/private/tags/list", &private).status, 401);
    let public = token(None, "repository:public/a:pull,push").unwrap();
    assert_eq!(with(&registry, "GET", "/v2/public/a/tags/list", &public).status, 404);
    assert_eq!(with(&registry, "POST", "/v2/public/a/blobs/uploads/", &public).status, 401);
    let catalog = token(Some(basic("ann", "ann-pw")), "registry:catalog:*").unwrap();
    assert_eq!(with(&registry, "GET", "/v2/_catalog", &catalog).status, 200);

    let form =
        b"grant_type=password&username=ann&password=ann-pw&service=test&scope=repository:a:pull";
    let answer = registry.ask("POST", "/token", &[], form);
    assert_eq!((answer.status, answer.json()["expires_in"].as_u64()), (200, Some(300)));
    // The last letter of a signature has bits that do not count: change one in the middle.
    let mut altered = bob.into_bytes();
    let middle = altered.len() - 20;
    altered[middle] = if altered[middle] == b'A' { b'B' } else { b'A' };
    let altered = String::from_utf8(altered).unwrap();
    let refused = with(&registry, "GET", "/v2/home/bob/x/tags/list", &altered);
    assert!(refused.header("WWW-Authenticate").ends_with("error=\"invalid_token\""));
}

/// A token server with a certificate of its own.
struct Server {
    key: EcdsaKeyPair,
    certificate: rcgen::Certificate,
}

impl Server {
    fn new() -> Self {
        let pair = rcgen::KeyPair::generate().unwrap();
        let parameters = rcgen::CertificateParams::new(vec!["auth.test".to_owned()]).unwrap();
        let certificate = parameters.self_signed(&pair).unwrap();
        let kind = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let key = EcdsaKeyPair::from_pkcs8(kind, &pair.serialize_der()).unwrap();
        Self { key, certificate }
    }

    fn token(&self, header: &str, claims: &str) -> String {
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let message = format!("{}.{}", encode(header), encode(claims));
        let signature = self.key.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("Bearer {message}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }

    fn key_set(&self) -> String {
        let point = self.key.public_key().as_ref();
        let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
        format!(r#"{{"keys":[{{"kty":"EC","crv":"P-256","kid":"one","x":"{x}","y":"{y}"}}]}}"#)
    }
}

fn claims(issuer: &str, audience: &str, lifetime: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    format!(
        r#"{{"iss":"{issuer}","aud":{audience},"sub":"ann","exp":{},"nbf":{},"access":[{{"type":"repository","name":"a","actions":["pull"]}}]}}"#,
        now + lifetime,
        now - 10,
    )
}

#[test]
fn tokens_of_another_server_count_only_when_everything_in_them_is_right() {
    let (server, other) = (Server::new(), Server::new());
    let good = claims("auth", "\"reg\"", 300);
    let x5c = |server: &Server| {
        let leaf = STANDARD.encode(server.certificate.der());
        format!(r#"{{"alg":"ES256","typ":"JWT","x5c":["{leaf}"]}}"#)
    };
    let plain = r#"{"alg":"ES256"}"#;
    for by_set in [false, true] {
        let access = AccessOptions::Tokens {
            realm: "https://auth.test/token".to_owned(),
            service: "reg".to_owned(),
            issuer: "auth".to_owned(),
            certificates: (!by_set).then(|| server.certificate.pem().into_bytes()),
            key_set: by_set.then(|| server.key_set().into_bytes()),
        };
        let registry = Running::with(Options { access, ..Options::default() });
        let status = |token: &str| with(&registry, "GET", "/v2/a/tags/list", token).status;
        let challenge = registry.get("/v2/a/tags/list");
        assert_eq!(
            challenge.header("WWW-Authenticate"),
            "Bearer realm=\"https://auth.test/token\",service=\"reg\",scope=\"repository:a:pull\""
        );
        // 404: allowed, and there is nothing.
        assert_eq!(status(&server.token(plain, &good)), 404);
        assert_eq!(status(&server.token(plain, &claims("auth", "[\"x\",\"reg\"]", 300))), 404);
        let kid = r#"{"alg":"ES256","kid":"one"}"#;
        assert_eq!(status(&server.token(kid, &good)), if by_set { 404 } else { 401 });
        assert_eq!(status(&server.token(&x5c(&server), &good)), if by_set { 401 } else { 404 });
        let unsigned = format!(
            "Bearer {}.{}.",
            URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#),
            URL_SAFE_NO_PAD.encode(&good)
        );
        for (bad, token) in [
            ("another key", other.token(plain, &good)),
            ("a key that it brings along", other.token(&x5c(&other), &good)),
            ("a key that it names but has not", other.token(&x5c(&server), &good)),
            ("no signature", unsigned),
            ("another algorithm", server.token(r#"{"alg":"RS256"}"#, &good)),
            ("another issuer", server.token(plain, &claims("eve", "\"reg\"", 300))),
            ("another audience", server.token(plain, &claims("auth", "\"x\"", 300))),
            ("too old", server.token(plain, &claims("auth", "\"reg\"", -300))),
            ("rubbish", "Bearer a.b.c".to_owned()),
        ] {
            assert_eq!(status(&token), 401, "{bad}");
        }
        let token = server.token(plain, &good);
        assert_eq!(with(&registry, "POST", "/v2/a/blobs/uploads/", &token).status, 401);
        assert_eq!(with(&registry, "GET", "/v2/b/tags/list", &token).status, 401);
    }
}

#[test]
fn tls_serves_large_blobs_and_takes_a_new_certificate_without_a_stop() {
    let directory = tempfile::tempdir().unwrap();
    let files = TlsFiles {
        certificate: directory.path().join("c.pem"),
        key: directory.path().join("k.pem"),
        client_authorities: None,
    };
    let make = || {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(&files.certificate, made.cert.pem()).unwrap();
        std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        roots
    };
    let first = make();
    let registry = Running::with(Options { tls: Some(files.clone()), ..Options::default() });
    let blob = crate::rig::bytes(3_000_001, 1);
    let digest = repositories::Digest::parse(&crate::rig::sha256(&blob)).unwrap();
    let name = repositories::Name::parse("a").unwrap();
    let mut upload = registry.store.begin_upload(&name, digest.algorithm()).unwrap();
    upload.write(&blob).unwrap();
    upload.commit(&digest).unwrap();
    let get = |roots: RootCertStore| {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut stream = StreamOwned::new(connection, connect(registry.address));
        let request = format!("GET /v2/a/blobs/{digest} HTTP/1.1\r\nHost: x\r\n\r\n");
        std::io::Write::write_all(&mut stream, request.as_bytes())
            .map(|()| read_answer(&mut stream, false))
    };
    assert!(get(first.clone()).unwrap().body == blob);
    let second = make();
    registry.registry.reload().unwrap();
    assert!(get(first).is_err());
    assert!(get(second.clone()).unwrap().body == blob);
    std::fs::write(&files.key, "rubbish").unwrap();
    assert!(registry.registry.reload().is_err());
    assert!(get(second).unwrap().body == blob);
}
