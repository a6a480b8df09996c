//! `kill`, `stop`, `restart`, `pause`, `unpause`, `rename`.

use crate::arg::value;
use crate::command::Invocation;
use crate::failure::Failure;
use crate::output;
use crate::session::Session;
use clap::Arg;
use client_http::{Client, Query, Request, escape_path};
use std::future::Future;

/// The path of a container.
pub(crate) fn container_path(name: &str, rest: &str) -> String {
    format!("/containers/{}{rest}", escape_path(name))
}

/// Docker works on this many objects at the same time.
const PARALLEL: usize = 50;

/// Calls once for each name, several at a time; prints the names that went well and gathers what failed, in order.
pub(crate) async fn each<F, T>(session: &Session, names: &[String], call: F) -> Result<(), Failure>
where
    F: Fn(Client, String) -> T,
    T: Future<Output = Result<(), Failure>> + 'static,
{
    let client = session.client().await?;
    let mut errors = Vec::new();
    for batch in names.chunks(PARALLEL) {
        let local = tokio::task::LocalSet::new();
        let tasks: Vec<_> = batch
            .iter()
            .map(|name| local.spawn_local(call(client.clone(), name.clone())))
            .collect();
        let results = local.run_until(async move {
            let mut results = Vec::new();
            for task in tasks {
                results.push(task.await);
            }
            results
        });
        for (name, result) in batch.iter().zip(results.await) {
            match result {
                Ok(Ok(())) => output::line(name)?,
                Ok(Err(failure)) => errors.push(failure.to_string()),
                Err(error) => errors.push(error.to_string()),
            }
        }
    }
    Failure::unless_empty(errors)
}

async fn post(
    client: Client,
    name: String,
    verb: &'static str,
    query: Query,
) -> Result<(), Failure> {
    client.send(Request::post(container_path(&name, verb)).query(query)).await?;
    Ok(())
}

pub(crate) fn kill_flags() -> Vec<Arg> {
    vec![value("signal", 's', "string", "Signal to send to the container")]
}

pub(crate) async fn kill(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { session, flags, args } = invocation;
    let query = Query::new().with_some("signal", flags.text("signal"));
    each(&session, &args, |client, name| post(client, name, "/kill", query.clone())).await
}

pub(crate) fn stop_flags() -> Vec<Arg> {
    vec![
        value("signal", 's', "string", "Signal to send to the container"),
        value("timeout", 't', "int", "Seconds to wait before killing the container").alias("time"),
    ]
}

fn stop_query(invocation: &Invocation) -> Result<Query, Failure> {
    let timeout = invocation.flags.number("timeout")?.map(|seconds| seconds.to_string());
    Ok(Query::new()
        .with_some("t", timeout.unwrap_or_default())
        .with_some("signal", invocation.flags.text("signal")))
}

pub(crate) async fn stop(invocation: Invocation) -> Result<(), Failure> {
    let query = stop_query(&invocation)?;
    each(&invocation.session, &invocation.args, |client, name| {
        post(client, name, "/stop", query.clone())
    })
    .await
}

pub(crate) async fn restart(invocation: Invocation) -> Result<(), Failure> {
    let query = stop_query(&invocation)?;
    each(&invocation.session, &invocation.args, |client, name| {
        post(client, name, "/restart", query.clone())
    })
    .await
}

pub(crate) async fn pause(invocation: Invocation) -> Result<(), Failure> {
    each(&invocation.session, &invocation.args, |client, name| {
        post(client, name, "/pause", Query::new())
    })
    .await
}

pub(crate) async fn unpause(invocation: Invocation) -> Result<(), Failure> {
    each(&invocation.session, &invocation.args, |client, name| {
        post(client, name, "/unpause", Query::new())
    })
    .await
}

pub(crate) async fn rename(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { session, args, .. } = invocation;
    if args[0].trim().is_empty() || args[1].trim().is_empty() {
        return Err(Failure::Plain("Error: Neither old nor new names may be empty".into()));
    }
    let client = session.client().await?;
    let query = Query::new().with("name", args[1].trim());
    let renamed =
        client.send(Request::post(container_path(args[0].trim(), "/rename")).query(query)).await;
    match renamed {
        Ok(_) => Ok(()),
        Err(error) => {
            output::complain(Failure::Engine(error).to_string());
            Err(Failure::Plain(format!("Error: failed to rename container named {}", args[0])))
        }
    }
}
