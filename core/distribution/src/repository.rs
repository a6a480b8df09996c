//! One repository in one registry: who is asked, with which authorization, and how often.

use crate::challenge::Challenge;
use crate::config::{Endpoint, INDEX_ADDRESS};
use crate::connect::resolve;
use crate::error::{Code, Error};
use crate::http::{Ask, Body, Http, header, is_error};
use crate::token::{self, Wanted};
use crate::{Address, Config, Credentials};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Method, Response, StatusCode};
use spec::Reference;
use spec::reference::DEFAULT_DOMAIN;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What may be done with a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read.
    Pull,
    /// Read and write.
    Push,
}

/// A repository, for one user and one operation. Clones share connections and tokens.
#[derive(Debug, Clone)]
pub struct Repository {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) http: Http,
    /// Without tag and digest.
    name: Reference,
    access: Access,
    endpoints: Vec<Endpoint>,
    /// The endpoint that last answered.
    current: AtomicUsize,
    /// Other repositories that blobs are mounted from.
    sources: Mutex<Vec<String>>,
    authorizations: Mutex<HashMap<usize, HeaderValue>>,
}

/// Where a request goes.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    /// Behind `/v2/<repository>/`.
    Path(String),
    /// Where an answer said.
    At(Address),
}

impl Repository {
    /// Prepares talking with the registry of `name`. Resolves its host when it matters whether it is a near one; sends
    /// nothing yet.
    pub async fn open(
        config: Arc<Config>,
        name: &Reference,
        access: Access,
        credentials: Credentials,
        agent: &str,
    ) -> Result<Self, Error> {
        let domain = name.domain();
        if !config.allows(domain) {
            return Err(Error::Forbidden(domain.to_owned()));
        }
        let may_be_plain = domain != DEFAULT_DOMAIN && is_insecure(&config, domain).await;
        let pull = access == Access::Pull;
        let endpoints = config.endpoints(domain, &credentials, may_be_plain, pull);
        if endpoints.iter().all(|endpoint| endpoint.is_mirror) {
            return Err(Error::Host(domain.to_owned()));
        }
        let agent = user_agent(&config, agent);
        let inner = Inner {
            http: Http::new(config, &agent),
            name: name.repository(),
            access,
            endpoints,
            current: AtomicUsize::new(0),
            sources: Mutex::default(),
            authorizations: Mutex::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Its name.
    pub fn name(&self) -> &Reference {
        &self.inner.name
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        self.inner.http.config()
    }

    /// Blobs of this repository of the same registry will be mounted: the token must allow to read it.
    pub fn add_source(&self, path: &str) {
        let mut sources = self.inner.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if path != self.inner.name.path() && !sources.iter().any(|known| known == path) {
            sources.push(path.to_owned());
            drop(sources);
            self.inner.authorizations.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }

    pub(crate) fn current(&self) -> usize {
        self.inner.current.load(Ordering::Relaxed)
    }

    pub(crate) fn endpoints(&self) -> &[Endpoint] {
        &self.inner.endpoints
    }

    pub(crate) fn address(&self, endpoint: usize, target: &Target) -> Address {
        match target {
            Target::At(address) => address.clone(),
            Target::Path(path) => {
                let base = &self.inner.endpoints[endpoint].base;
                base.at(format!("{}/v2/{}/{path}", base.path, self.inner.name.path()))
            }
        }
    }

    fn scopes(&self) -> Vec<String> {
        let actions = match self.inner.access {
            Access::Pull => "pull",
            Access::Push => "pull,push",
        };
        let own = format!("repository:{}:{actions}", self.inner.name.path());
        let sources = self.inner.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let sources = sources.iter().map(|path| format!("repository:{path}:pull"));
        std::iter::once(own).chain(sources).collect()
    }

    /// Asks the endpoints in their order, from the one that last answered on, until one gives what is wanted.
    pub(crate) async fn ask_any(
        &self,
        ask: &Ask,
        target: &Target,
    ) -> Result<(usize, Response<Incoming>), Error> {
        let first = self.current();
        let mut failure = None;
        for at in first..self.inner.endpoints.len() {
            let endpoint = &self.inner.endpoints[at];
            match self.ask(at, ask, target).await {
                Ok(answer) => {
                    self.inner.current.store(at, Ordering::Relaxed);
                    return Ok((at, answer));
                }
                Err(error) if endpoint.is_mirror || error.is_unreachable() => {
                    tracing::debug!("{}: {error}", endpoint.base);
                    // Of a registry that was not reached by TLS, what was said without it counts.
                    failure = Some(error.of_server(&endpoint.base));
                }
                Err(error) => return Err(error),
            }
        }
        Err(failure.unwrap_or_else(|| Error::Host(self.inner.name.domain().to_owned())))
    }

    /// [`Repository::ask_any`], again after a while when that may help.
    pub(crate) async fn ask_patiently(
        &self,
        ask: &Ask,
        target: &Target,
    ) -> Result<(usize, Response<Incoming>), Error> {
        let mut tries = 0;
        loop {
            match self.ask_any(ask, target).await {
                Err(error) if error.is_temporary() => match self.config().wait(tries, &error) {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => return Err(error),
                },
                done => return done,
            }
            tries += 1;
        }
    }

    /// Asks one endpoint, with authorization if it wants it. Follows redirects of reading requests.
    pub(crate) async fn ask(
        &self,
        endpoint: usize,
        ask: &Ask,
        target: &Target,
    ) -> Result<Response<Incoming>, Error> {
        let address = self.address(endpoint, target);
        let mut authorization = self.authorization(endpoint, &address);
        let mut renewed = false;
        loop {
            let (_, answer) = self.inner.http.follow(ask, &address, authorization.as_ref()).await?;
            if answer.status() == StatusCode::UNAUTHORIZED && !renewed {
                renewed = true;
                authorization = self.authorize(endpoint, &ask.method, &address, answer).await?;
                continue;
            }
            return self.accepted(answer).await;
        }
    }

    /// Sends a body that cannot be sent twice. The authorization must have been got by an earlier request.
    pub(crate) async fn send(
        &self,
        endpoint: usize,
        method: &Method,
        address: &Address,
        mut headers: Vec<(HeaderName, HeaderValue)>,
        body: Body,
    ) -> Result<Response<Incoming>, Error> {
        if let Some(value) = self.authorization(endpoint, address) {
            headers.push((AUTHORIZATION, value));
        }
        let answer = self.inner.http.send(method, address, &headers, body).await?;
        if answer.status() == StatusCode::UNAUTHORIZED {
            // The token may have become too old: the next try has a new one.
            let mut known =
                self.inner.authorizations.lock().unwrap_or_else(PoisonError::into_inner);
            known.remove(&endpoint);
        }
        self.accepted(answer).await
    }

    async fn accepted(&self, answer: Response<Incoming>) -> Result<Response<Incoming>, Error> {
        if is_error(answer.status()) {
            return Err(self.inner.http.refusal(answer).await.into());
        }
        Ok(answer)
    }

    /// What is known to be wanted at an address of an endpoint.
    fn authorization(&self, endpoint: usize, address: &Address) -> Option<HeaderValue> {
        let at = &self.inner.endpoints[endpoint];
        if !at.base.same_origin(address) {
            return None;
        }
        if !at.credentials.registrytoken.is_empty() {
            return HeaderValue::from_str(&format!("Bearer {}", at.credentials.registrytoken)).ok();
        }
        let known = self.inner.authorizations.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&endpoint).cloned()
    }

    /// Gets what the registry wants to see.
    async fn authorize(
        &self,
        endpoint: usize,
        method: &Method,
        address: &Address,
        answer: Response<Incoming>,
    ) -> Result<Option<HeaderValue>, Error> {
        let at = &self.inner.endpoints[endpoint];
        if !at.base.same_origin(address) {
            return Err(self.inner.http.refusal(answer).await.into());
        }
        let scopes = self.scopes();
        let value = authorize(&self.inner.http, at, method, address, answer, scopes).await?;
        let mut known = self.inner.authorizations.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(endpoint, value.clone());
        Ok(Some(value))
    }
}

impl Config {
    /// How long to wait after the failure of try number `tries` (from 0) before the next; `None` when that was the
    /// last one.
    pub fn wait(&self, tries: u32, error: &Error) -> Option<Duration> {
        if tries + 1 >= self.attempts {
            return None;
        }
        let longest = self.back_off * 30;
        let own = self.back_off.saturating_mul(1 << tries.min(16)).min(longest);
        match error.retry_after() {
            // Who asks for a longer wait than a client would have patience for gets no further request.
            Some(asked) if asked > Duration::from_secs(120) => None,
            Some(asked) => Some(asked.max(own)),
            None => Some(own),
        }
    }
}

async fn is_insecure(config: &Config, domain: &str) -> bool {
    let Some(address) = Address::parse(&format!("https://{domain}/")) else { return false };
    if config.is_insecure(&address.host, address.port, &[]) {
        return true;
    }
    let lists_networks = config.insecure.iter().any(|rule| rule.contains('/'));
    if !lists_networks && address.host.contains('.') {
        return false;
    }
    let found = resolve(&address.host, address.port).await.unwrap_or_default();
    let addresses: Vec<IpAddr> = found.iter().map(|address| address.ip()).collect();
    !addresses.is_empty() && config.is_insecure(&address.host, address.port, &addresses)
}

/// The engine's name, and in parentheses the client's.
pub(crate) fn user_agent(config: &Config, client: &str) -> String {
    let client: String = client.chars().filter(|c| (' '..='~').contains(c)).take(200).collect();
    match &*client {
        "" => config.user_agent.clone(),
        client => {
            let client = client.replace(['(', ')'], " ");
            format!("{} UpstreamClient({client})", config.user_agent)
        }
    }
}

/// The `Authorization` that the answer 401 asks for.
pub(crate) async fn authorize(
    http: &Http,
    endpoint: &Endpoint,
    method: &Method,
    address: &Address,
    answer: Response<Incoming>,
    mut scopes: Vec<String>,
) -> Result<HeaderValue, Error> {
    let headers = answer.headers().get_all(WWW_AUTHENTICATE).iter();
    let challenges: Vec<Challenge> =
        headers.filter_map(|value| value.to_str().ok()).flat_map(Challenge::parse_all).collect();
    let credentials = &endpoint.credentials;
    let unusable = |what: &str| Error::Answer {
        method: method.clone(),
        url: address.shown(),
        why: format!("{what} cannot be sent in a header"),
    };
    for challenge in &challenges {
        if let Challenge::Bearer { realm, service, scope, .. } = challenge {
            if !scope.is_empty() && !scopes.iter().any(|own| covers(own, scope)) {
                scopes.push(scope.clone());
            }
            let wanted = Wanted { realm, service, scopes: &scopes, offline: false };
            let token = token::fetch(http, &endpoint.base, &wanted, credentials).await?;
            return HeaderValue::from_str(&format!("Bearer {}", token.bearer))
                .map_err(|_| unusable("the token"));
        }
    }
    if challenges.contains(&Challenge::Basic) {
        if !credentials.has_password() {
            return Err(Error::NoCredentials { method: method.clone(), url: address.shown() });
        }
        return HeaderValue::from_str(&credentials.basic()).map_err(|_| unusable("the password"));
    }
    Err(http.refusal(answer).await.into())
}

/// Whether whoever has the one scope needs no other: the same repository, and at least these actions.
fn covers(own: &str, asked: &str) -> bool {
    let split = |text: &str| {
        let (name, actions) = text.rsplit_once(':').unwrap_or((text, ""));
        let actions: Vec<String> = actions.split(',').map(str::to_owned).collect();
        (name.to_owned(), actions)
    };
    let (own, asked) = (split(own), split(asked));
    own.0 == asked.0 && asked.1.iter().all(|action| own.1.contains(action))
}

/// What a login is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// A refresh token that stands for the password from now on; empty when the registry gives none.
    pub identity_token: String,
}

/// Shows credentials to a registry and tells whether it takes them. `server` is what the client calls it: a host, or
/// an address; the default registry when empty.
pub async fn login(
    config: Arc<Config>,
    server: &str,
    credentials: Credentials,
    agent: &str,
) -> Result<Login, Error> {
    let domain = login_domain(server);
    if !config.allows(&domain) {
        return Err(Error::Forbidden(domain));
    }
    let may_be_plain = domain != DEFAULT_DOMAIN && is_insecure(&config, &domain).await;
    let endpoints = config.endpoints(&domain, &credentials, may_be_plain, false);
    let agent = user_agent(&config, agent);
    let http = Http::new(config, &agent);
    let mut failure = Error::Host(domain);
    for endpoint in endpoints {
        match login_at(&http, &endpoint).await {
            Err(error) if error.is_unreachable() => failure = error,
            done => return done,
        }
    }
    Err(failure)
}

/// The domain of names for what a client logs in to.
fn login_domain(server: &str) -> String {
    let host = server.split_once("://").map_or(server, |(_, rest)| rest);
    let host = host.split('/').next().unwrap_or_default();
    match host {
        "" | "index.docker.io" | "registry-1.docker.io" => DEFAULT_DOMAIN.to_owned(),
        host if server == INDEX_ADDRESS || host == DEFAULT_DOMAIN => DEFAULT_DOMAIN.to_owned(),
        host => host.to_owned(),
    }
}

async fn login_at(http: &Http, endpoint: &Endpoint) -> Result<Login, Error> {
    let address = endpoint.base.at(format!("{}/v2/", endpoint.base.path));
    let ask = Ask::new(Method::GET);
    let (_, answer) = http.follow(&ask, &address, None).await?;
    if answer.status().is_success() {
        return Ok(Login { identity_token: String::new() });
    }
    if answer.status() != StatusCode::UNAUTHORIZED {
        return Err(http.refusal(answer).await.into());
    }
    let challenges = Challenge::parse_all(header(answer.headers(), WWW_AUTHENTICATE));
    let mut identity_token = String::new();
    let value = match challenges.iter().find(|c| matches!(c, Challenge::Bearer { .. })) {
        Some(Challenge::Bearer { realm, service, .. }) => {
            let wanted = Wanted { realm, service, scopes: &[], offline: true };
            let token = token::fetch(http, &endpoint.base, &wanted, &endpoint.credentials).await?;
            identity_token = token.refresh;
            HeaderValue::from_str(&format!("Bearer {}", token.bearer)).ok()
        }
        _ => Some(authorize(http, endpoint, &Method::GET, &address, answer, vec![]).await?),
    };
    let (_, answer) = http.follow(&ask, &address, value.as_ref()).await?;
    if answer.status().is_success() {
        return Ok(Login { identity_token });
    }
    Err(http.refusal(answer).await.into())
}

/// Whether an error says that there is no such thing, or none for this user.
pub(crate) fn is_absent(error: &Error) -> bool {
    let Some(refusal) = error.refusal() else { return false };
    refusal.status == StatusCode::NOT_FOUND
        || matches!(refusal.code(), Code::ManifestUnknown | Code::NameUnknown | Code::BlobUnknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_log_in_to_is_resolved_to_a_domain() {
        for (server, domain) in [
            ("", "docker.io"),
            ("https://index.docker.io/v1/", "docker.io"),
            ("docker.io", "docker.io"),
            ("127.0.0.1:5000", "127.0.0.1:5000"),
            ("https://reg.example/v2/", "reg.example"),
        ] {
            assert_eq!(login_domain(server), domain, "{server}");
        }
    }

    #[test]
    fn waits_grow_and_follow_the_registry_up_to_a_bound() {
        let config = Config { attempts: 3, ..Config::default() };
        let refusal = |after: Option<u64>| {
            let after = after.map(Duration::from_secs);
            Error::from(crate::error::Refusal::parse(StatusCode::TOO_MANY_REQUESTS, after, b""))
        };
        assert_eq!(config.wait(0, &refusal(None)), Some(Duration::from_millis(500)));
        assert_eq!(config.wait(1, &refusal(None)), Some(Duration::from_secs(1)));
        assert_eq!(config.wait(1, &refusal(Some(7))), Some(Duration::from_secs(7)));
        assert_eq!(config.wait(1, &refusal(Some(1000))), None);
        assert_eq!(config.wait(2, &refusal(None)), None);
    }

    #[test]
    fn a_scope_covers_fewer_actions_on_the_same_repository() {
        assert!(covers("repository:a/b:pull,push", "repository:a/b:pull"));
        assert!(!covers("repository:a/b:pull", "repository:a/b:pull,push"));
        assert!(!covers("repository:a/b:pull", "repository:a/c:pull"));
    }
}
