//! What is asked.

use crate::Query;
use std::fmt;
use tokio::io::AsyncRead;

/// The body of a request.
pub enum RequestBody {
    /// None.
    Empty,
    /// Bytes that are known, and their type.
    Bytes {
        /// The value of Content-Type.
        kind: &'static str,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Bytes that come while they are sent, in chunks.
    Stream {
        /// The value of Content-Type.
        kind: &'static str,
        /// Where they come from.
        source: Box<dyn AsyncRead + Send + Unpin>,
    },
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => formatter.write_str("Empty"),
            Self::Bytes { kind, bytes } => write!(formatter, "Bytes({kind}, {})", bytes.len()),
            Self::Stream { kind, .. } => write!(formatter, "Stream({kind})"),
        }
    }
}

/// One request: method, path behind the version, parameters, headers, body.
#[derive(Debug)]
pub struct Request {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) query: Query,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: RequestBody,
}

impl Request {
    fn new(method: &'static str, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            query: Query::new(),
            headers: Vec::new(),
            body: RequestBody::Empty,
        }
    }

    /// GET.
    pub fn get(path: impl Into<String>) -> Self {
        Self::new("GET", path)
    }

    /// HEAD.
    pub fn head(path: impl Into<String>) -> Self {
        Self::new("HEAD", path)
    }

    /// POST without a body.
    pub fn post(path: impl Into<String>) -> Self {
        Self::new("POST", path)
    }

    /// PUT without a body.
    pub fn put(path: impl Into<String>) -> Self {
        Self::new("PUT", path)
    }

    /// DELETE.
    pub fn delete(path: impl Into<String>) -> Self {
        Self::new("DELETE", path)
    }

    /// The parameters.
    #[must_use]
    pub fn query(mut self, query: Query) -> Self {
        self.query = query;
        self
    }

    /// One more header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The value as the JSON body.
    ///
    /// # Errors
    /// When the value has no JSON form.
    pub fn json<T: serde::Serialize>(mut self, value: &T) -> Result<Self, crate::ClientError> {
        let mut bytes = serde_json::to_vec(value)?;
        bytes.push(b'\n');
        self.body = RequestBody::Bytes { kind: "application/json", bytes };
        Ok(self)
    }

    /// A body that comes while it is sent.
    #[must_use]
    pub fn stream(mut self, kind: &'static str, source: Box<dyn AsyncRead + Send + Unpin>) -> Self {
        self.body = RequestBody::Stream { kind, source };
        self
    }
}
