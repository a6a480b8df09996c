//! Who may do what.
//!
//! Reading order: [`Action`], [`Access`]; [`rules`] (what a user may do), [`htpasswd`] (who a user is), [`token`] (what
//! a token allows), [`keys`] (whose tokens count), [`issue`] (tokens of our own).

pub(crate) mod htpasswd;
pub(crate) mod issue;
pub(crate) mod keys;
pub(crate) mod rules;
pub(crate) mod token;

use crate::failure::Failure;
use base64::Engine;
use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, HeaderMap, WWW_AUTHENTICATE};
use repositories::Name;

/// What a request does to a repository, in the words of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Reading.
    Pull,
    /// Writing; a client that pushes also reads.
    Push,
    /// Deleting.
    Delete,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Pull, Self::Push, Self::Delete];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Delete => "delete",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == text)
    }
}

/// What is asked: something with a repository, the list of repositories, or nothing but whether one is known.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wish<'a> {
    Known,
    Catalog,
    Repository(&'a Name, &'a [Action]),
}

/// How users are known.
#[derive(Debug)]
pub(crate) enum Access {
    /// They are not, and everybody may do everything.
    Open,
    /// By their passwords.
    Passwords { users: htpasswd::Users, rules: rules::Rules, realm: String },
    /// By tokens that somebody has given them.
    Tokens(token::Tokens),
}

/// Who asks; the name goes to the log.
pub(crate) type User = Option<String>;

impl Access {
    /// Allows what is wished, or says how it could be allowed; `secure` when the client came by TLS.
    pub(crate) async fn check(
        &self,
        headers: &HeaderMap,
        wish: Wish<'_>,
        secure: bool,
    ) -> Result<User, Failure> {
        match self {
            Self::Open => Ok(None),
            Self::Passwords { users, rules, realm } => {
                let user = match basic(headers)? {
                    Some((name, password)) => match users.check(&name, &password).await? {
                        true => Some(name),
                        false => return Err(unknown_user(realm)),
                    },
                    None => None,
                };
                let allowed = match wish {
                    Wish::Known => user.is_some(),
                    Wish::Catalog => rules.lists(user.as_deref()),
                    Wish::Repository(name, actions) => {
                        actions.iter().all(|action| rules.allow(user.as_deref(), name, *action))
                    }
                };
                match (allowed, &user) {
                    (true, _) => Ok(user),
                    (false, None) => Err(unknown_user(realm)),
                    (false, Some(_)) => Err(denied(wish)),
                }
            }
            Self::Tokens(tokens) => tokens.check(headers, wish, secure),
        }
    }

    /// Whether everybody may read everything.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self, Self::Open)
    }
}

fn denied(wish: Wish<'_>) -> Failure {
    let message = match wish {
        Wish::Repository(name, _) => format!("access to repository {name} is denied"),
        _ => "access to the list of repositories is denied".to_owned(),
    };
    Failure::new(StatusCode::FORBIDDEN, "DENIED", message)
}

fn unknown_user(realm: &str) -> Failure {
    Failure::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "authentication required")
        .with(WWW_AUTHENTICATE, &format!("Basic realm=\"{realm}\""))
}

/// Name and password of a `Basic` authorization, if there is one.
pub(crate) fn basic(headers: &HeaderMap) -> Result<Option<(String, String)>, Failure> {
    let Some(rest) = credentials(headers, "basic") else { return Ok(None) };
    let wrong = || {
        let message = "the Authorization header cannot be read";
        Failure::new(StatusCode::BAD_REQUEST, "UNAUTHORIZED", message)
    };
    let bytes =
        base64::engine::general_purpose::STANDARD.decode(rest.trim()).map_err(|_| wrong())?;
    let text = String::from_utf8(bytes).map_err(|_| wrong())?;
    let (name, password) = text.split_once(':').ok_or_else(wrong)?;
    Ok(Some((name.to_owned(), password.to_owned())))
}

/// What follows `scheme` in the Authorization header.
pub(crate) fn credentials<'a>(headers: &'a HeaderMap, scheme: &str) -> Option<&'a str> {
    let text = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (word, rest) = text.split_once(' ')?;
    word.eq_ignore_ascii_case(scheme).then_some(rest)
}
