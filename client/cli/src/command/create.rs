//! `create`, and the part of `run` that makes the container.

use crate::arg::Flags;
use crate::command::{Invocation, create_body, pull};
use crate::failure::Failure;
use crate::output;
use crate::parse::reference::Reference;
use crate::session::Session;
use api_types::container::{CreateBody, CreateReply};
use client_http::{Client, Query, Request};
use std::path::Path;

/// A container that was made.
#[derive(Debug)]
pub(crate) struct Created {
    pub(crate) client: Client,
    pub(crate) id: String,
    pub(crate) body: CreateBody,
}

pub(crate) async fn run(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { session, flags, args } = invocation;
    check_pull(&flags).map_err(|failure| failure.hinted("create", 125))?;
    let body = body(&session, &flags, &args).map_err(|failure| failure.hinted("create", 125))?;
    let created = make(&session, &flags, body).await?;
    Ok(output::line(created.id)?)
}

pub(crate) fn check_pull(flags: &Flags) -> Result<(), Failure> {
    match flags.text("pull").as_str() {
        "" | "always" | "missing" | "never" => Ok(()),
        other => Err(Failure::Plain(format!(
            "invalid pull option: '{other}': must be one of \"always\", \"missing\" or \"never\""
        ))),
    }
}

/// Reads the flags.
pub(crate) fn body(
    session: &Session,
    flags: &Flags,
    args: &[String],
) -> Result<CreateBody, Failure> {
    let endpoint = crate::host::endpoint(&session.globals, &session.config)?;
    create_body::build(flags, args, &session.config.proxies(&endpoint.text))
}

/// Pulls the image if it has to, and makes the container.
pub(crate) async fn make(
    session: &Session,
    flags: &Flags,
    body: CreateBody,
) -> Result<Created, Failure> {
    let image = body.config.image.clone();
    let id_file = flags.text("cidfile");
    if !id_file.is_empty() && Path::new(&id_file).exists() {
        return Err(Failure::Plain(format!(
            "container ID file found, make sure the other container isn't running or delete {id_file}"
        )));
    }
    let client = session.client().await?;
    let platform = flags
        .text_of("platform")
        .map(str::to_owned)
        .or_else(|| crate::host::variable("DOCKER_DEFAULT_PLATFORM"));
    let platform = platform.unwrap_or_default();
    let pulling = pull::Pulling {
        session,
        client: &client,
        platform: &platform,
        quiet: flags.on("quiet"),
        to_error: true,
    };
    let policy = flags.text("pull");
    if policy == "always" {
        pulling.image(&Reference::parse(&image)?).await?;
    }
    let query =
        Query::new().with_some("name", flags.text("name")).with_some("platform", platform.clone());
    let reply = match send(&client, &query, &body).await {
        Err(failure) if missing_image(&failure) && matches!(policy.as_str(), "" | "missing") => {
            let Ok(reference) = Reference::parse(&image) else { return Err(failure) };
            if !flags.on("quiet") {
                output::complain(format!(
                    "Unable to find image '{}' locally",
                    reference.familiar_tagged()
                ));
            }
            pulling.image(&reference).await?;
            send(&client, &query, &body).await?
        }
        other => other?,
    };
    for warning in &reply.warnings {
        output::complain(format!("WARNING: {warning}"));
    }
    if !id_file.is_empty() {
        std::fs::write(&id_file, &reply.id).map_err(|error| {
            Failure::Plain(format!(
                "failed to write the container ID to the file: {}",
                crate::failure::io_text(&error)
            ))
        })?;
    }
    Ok(Created { client, id: reply.id, body })
}

/// 404 of create is a missing image, or something else that does not exist and that a pull does not mend.
fn missing_image(failure: &Failure) -> bool {
    failure.status() == Some(404)
}

async fn send(client: &Client, query: &Query, body: &CreateBody) -> Result<CreateReply, Failure> {
    let request = Request::post("/containers/create").query(query.clone()).json(body)?;
    let reply: serde_json::Value = client.send(request).await?.json().await?;
    let warnings = reply["Warnings"].as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(CreateReply {
        id: reply["Id"].as_str().unwrap_or_default().to_owned(),
        warnings: warnings
            .iter()
            .filter_map(|warning| warning.as_str().map(str::to_owned))
            .collect(),
    })
}
