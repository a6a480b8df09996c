//! Waiting for a container's end.

use crate::failure::Failure;
use client_http::{Client, Query, Request, Response, escape_path};
use serde_json::Value;

/// A wait that the engine has accepted: an end that comes from now on is seen.
#[derive(Debug)]
pub(crate) struct Waiting(Response);

impl Waiting {
    /// Asks to be told; returns once the engine has said that it listens.
    pub(crate) async fn open(
        client: &Client,
        id: &str,
        condition: &'static str,
    ) -> Result<Self, Failure> {
        let path = format!("/containers/{}/wait", escape_path(id));
        let request = Request::post(path).query(Query::new().with("condition", condition));
        Ok(Self(client.send(request).await?))
    }

    /// The exit status of the container becomes ours.
    pub(crate) async fn status(self) -> Result<(), Failure> {
        let reply: Value = self.0.json().await?;
        if let Some(message) =
            reply["Error"]["Message"].as_str().filter(|message| !message.is_empty())
        {
            return Err(Failure::Coded {
                code: 125,
                text: format!("Error waiting for container: {message}"),
            });
        }
        status(reply["StatusCode"].as_i64().unwrap_or_default())
    }
}

/// An exit status as ours: nothing to say, only to end with it.
pub(crate) fn status(code: i64) -> Result<(), Failure> {
    match u8::try_from(code & 0xff).unwrap_or(255) {
        0 => Ok(()),
        code => Err(Failure::Exit(code)),
    }
}
