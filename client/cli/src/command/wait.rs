//! `wait`.

use crate::command::Invocation;
use crate::command::lifecycle::container_path;
use crate::failure::Failure;
use crate::output;
use client_http::{Client, Request};
use serde_json::Value;

pub(crate) async fn run(invocation: Invocation) -> Result<(), Failure> {
    let client = invocation.session.client().await?;
    let mut errors = Vec::new();
    for name in &invocation.args {
        match one(&client, name).await {
            Ok(code) => output::line(code.to_string())?,
            Err(failure) => errors.push(failure.to_string()),
        }
    }
    Failure::unless_empty(errors)
}

async fn one(client: &Client, name: &str) -> Result<i64, Failure> {
    let reply: Value =
        client.send(Request::post(container_path(name, "/wait"))).await?.json().await?;
    match reply["Error"]["Message"].as_str().filter(|message| !message.is_empty()) {
        Some(message) => Err(Failure::Plain(message.to_owned())),
        None => Ok(reply["StatusCode"].as_i64().unwrap_or_default()),
    }
}
