//! Searching an index: the first version of the registry protocol, which nothing else is left of.

use crate::config::INDEX_ADDRESS;
use crate::error::Error;
use crate::http::{Ask, Http};
use crate::repository::user_agent;
use crate::{Address, Config, Credentials};
use hyper::Method;
use hyper::header::HeaderValue;
use serde::Deserialize;
use spec::reference::DEFAULT_DOMAIN;
use std::sync::Arc;

/// Bytes of an index's answer.
const ANSWER_MAX: u64 = 4 << 20;
/// What is asked for when no limit is given, and the most that may be.
const LIMIT_DEFAULT: u32 = 25;
/// The largest limit.
pub const LIMIT_MAX: u32 = 100;

/// One repository that was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Found {
    /// Its name.
    pub name: String,
    /// What it is.
    pub description: String,
    /// How many users like it.
    pub star_count: i64,
    /// Whether the index's owner keeps it.
    pub is_official: bool,
    /// Whether it is built by itself.
    pub is_automated: bool,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    results: Option<Vec<Found>>,
}

/// Searches the index that `term` names before its first `/`, else the default one.
pub async fn search(
    config: Arc<Config>,
    term: &str,
    limit: Option<u32>,
    credentials: &Credentials,
    agent: &str,
) -> Result<Vec<Found>, Error> {
    let (index, term) = split(term);
    let domain = index.unwrap_or(DEFAULT_DOMAIN);
    if !config.allows(domain) {
        return Err(Error::Forbidden(domain.to_owned()));
    }
    let bases: Vec<Address> = match index {
        None => Address::parse(INDEX_ADDRESS).into_iter().collect(),
        Some(host) => {
            let https = Address::parse(&format!("https://{host}/v1/"));
            let https = https.ok_or_else(|| Error::Host(host.to_owned()))?;
            let insecure = config.is_insecure(&https.host, https.port, &[]);
            let http = Address::parse(&format!("http://{host}/v1/")).filter(|_| insecure);
            std::iter::once(https).chain(http).collect()
        }
    };
    let http = Http::new(config.clone(), &user_agent(&config, agent));
    let query = format!(
        "q={}&n={}",
        crate::address::escape(term),
        limit.filter(|limit| *limit > 0).unwrap_or(LIMIT_DEFAULT)
    );
    let mut failure = Error::Host(domain.to_owned());
    for base in bases {
        let address = base.join("search").map(|address| address.with_query(&query));
        let Some(address) = address else { continue };
        match ask(&http, &address, credentials).await {
            Err(error) if error.is_unreachable() => failure = error,
            done => return done,
        }
    }
    Err(failure)
}

async fn ask(
    http: &Http,
    address: &Address,
    credentials: &Credentials,
) -> Result<Vec<Found>, Error> {
    let basic = credentials.has_password().then(|| HeaderValue::from_str(&credentials.basic()));
    let basic = basic.and_then(Result::ok);
    let (_, answer) = http.follow(&Ask::new(Method::GET), address, basic.as_ref()).await?;
    if !answer.status().is_success() {
        return Err(http.refusal(answer).await.into());
    }
    let failed = |why: &str| Error::Answer {
        method: Method::GET,
        url: address.shown(),
        why: why.to_owned(),
    };
    let bytes = http.collect(answer, ANSWER_MAX).await.map_err(|source| Error::Transport {
        method: Method::GET,
        url: address.shown(),
        source,
    })?;
    let bytes = bytes.ok_or_else(|| failed("the answer is too long"))?;
    let answer: Answer =
        serde_json::from_slice(&bytes).map_err(|_| failed("the answer is not valid"))?;
    Ok(answer.results.unwrap_or_default())
}

/// The index's host, if the term names one, and the term itself.
fn split(term: &str) -> (Option<&str>, &str) {
    match term.split_once('/') {
        Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => match host {
            "docker.io" | "index.docker.io" => (None, rest.trim_start_matches("library/")),
            host => (Some(host), rest),
        },
        _ => (None, term.trim_start_matches("library/")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_may_name_an_index() {
        assert_eq!(split("busybox"), (None, "busybox"));
        assert_eq!(split("library/busybox"), (None, "busybox"));
        assert_eq!(split("me/app"), (None, "me/app"));
        assert_eq!(split("docker.io/me/app"), (None, "me/app"));
        assert_eq!(split("localhost:5000/a/b"), (Some("localhost:5000"), "a/b"));
    }
}
