//! From a socket to answers.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::extract::ConnectInfo;
use axum::http::HeaderName;
use axum::routing::get;
use axum::{Extension, Json, Router, middleware};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;
use tokio::time::{Instant, interval, sleep, timeout};
use tower_http::cors::{AllowHeaders, AllowOrigin, Any, CorsLayer};
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::compose::Compose;
use crate::jobs::Jobs;
use crate::problem::Problem;
use crate::settings::{Log, Settings};
use crate::{access, events, handlers, inference, page};

/// How often the jobs are looked after.
const TIDYING: Duration = Duration::from_millis(250);
/// How long work that was stopped may take to end.
const LAST: Duration = Duration::from_secs(2);

#[derive(OpenApi)]
#[openapi(info(
    title = "vmt",
    description = "Composes piano scores for films. Errors are JSON with a code and a sentence. A server may want a token: \
                   `Authorization: Bearer TOKEN`.",
    license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
))]
struct Document;

/// Listens, loads what composes, and answers until SIGTERM or SIGINT; then lets those end that run. Prints its address on standard error.
///
/// # Errors
/// Where the address is not free, a folder cannot be used, or `load` fails.
pub fn serve(settings: Settings, load: impl FnOnce() -> Result<Box<dyn Compose>> + Send + 'static) -> Result<()> {
    log(settings.log);
    let jobs = Jobs::open(settings)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(run(&jobs, load));
    // An engine that is at work or being freed while the process ends may crash; but nothing holds the process for long.
    let end = Instant::now() + LAST;
    runtime.shutdown_timeout(LAST);
    while Arc::strong_count(&jobs) > 1 && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(5));
    }
    jobs.store.remove_scratch();
    done
}

fn log(log: Log) {
    let lines =
        tracing_subscriber::fmt().with_writer(io::stderr).with_target(false).with_max_level(tracing::Level::INFO);
    // A program that has a log of its own keeps it.
    let _ = match log {
        Log::Off => return,
        Log::Text => lines.with_ansi(false).try_init(),
        Log::Json => lines.json().flatten_event(true).try_init(),
    };
}

async fn run(jobs: &Arc<Jobs>, load: impl FnOnce() -> Result<Box<dyn Compose>> + Send + 'static) -> Result<()> {
    let [mut terminate, mut interrupt] = [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?];
    let Settings { listen, grace, connections, header, .. } = jobs.settings;
    let listener = TcpListener::bind(listen).await.with_context(|| listen.to_string())?;
    vmt_files::warn(format_args!("listening on http://{}", listener.local_addr()?));

    let loading = tokio::task::spawn_blocking(load);
    let (started, tidied) = (jobs.clone(), jobs.clone());
    let mut started = tokio::spawn(async move {
        started.start(loading.await??);
        anyhow::Ok(())
    });
    tokio::spawn(async move {
        let mut ticks = interval(TIDYING);
        loop {
            ticks.tick().await;
            tidied.tidy();
        }
    });

    let (router, open) = (router(jobs.clone())?, GracefulShutdown::new());
    let slots = Arc::new(Semaphore::new(connections));
    // To tell HTTP versions apart would wait for the first byte without a limit.
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(header);
    let builder = Arc::new(builder);
    let mut is_loading = true;
    loop {
        let slot = slots.clone().acquire_owned();
        tokio::select! {
            slot = async { let slot = slot.await; (slot, listener.accept().await) } => {
                let (Ok(slot), accepted) = slot else { break };
                let (stream, peer) = match accepted {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        // Without descriptors, the next try would fail at once.
                        tracing::warn!("no connection: {error}");
                        sleep(Duration::from_millis(100)).await;
                        continue;
                    }
                };
                let gauge = jobs.metrics.connections.clone();
                gauge.inc();
                let connection = connection(&builder, &router, stream, peer);
                let watched = open.watch(connection.into_owned());
                tokio::spawn(async move {
                    // Clients may leave as they like.
                    let _ = watched.await;
                    gauge.dec();
                    drop(slot);
                });
            }
            loaded = &mut started, if is_loading => {
                loaded??;
                is_loading = false;
            }
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }

    drop(listener);
    let end = Instant::now() + grace;
    tracing::info!("draining");
    while !jobs.drain() && Instant::now() < end {
        tokio::select! {
            () = sleep(TIDYING) => {}
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    jobs.stop_running();
    if is_loading {
        // It cannot be stopped.
        let _ = started.await;
    }
    // For those who wait for their answer.
    let _ = timeout(LAST, async {
        while !jobs.drain() {
            sleep(Duration::from_millis(20)).await;
        }
        open.shutdown().await;
    })
    .await;
    Ok(())
}

fn connection<'b>(
    builder: &'b Builder<TokioExecutor>,
    router: &Router,
    stream: TcpStream,
    peer: SocketAddr,
) -> hyper_util::server::conn::auto::Connection<'b, TokioIo<TcpStream>, TowerToHyperService<Router>, TokioExecutor> {
    let service = router.clone().layer(Extension(ConnectInfo(peer)));
    builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
}

/// All addresses.
pub fn router(jobs: Arc<Jobs>) -> Result<Router> {
    let (api, document) = OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(handlers::compose))
        .routes(routes!(handlers::job, handlers::delete))
        .routes(routes!(events::events))
        .routes(routes!(handlers::music_file))
        .routes(routes!(handlers::options))
        .routes(routes!(handlers::info))
        .routes(routes!(handlers::live))
        .routes(routes!(handlers::ready))
        .routes(routes!(handlers::metrics))
        .routes(routes!(inference::server))
        .routes(routes!(inference::live))
        .routes(routes!(inference::ready))
        .routes(routes!(inference::model))
        .routes(routes!(inference::version))
        .routes(routes!(inference::model_ready))
        .routes(routes!(inference::version_ready))
        .routes(routes!(inference::infer))
        .routes(routes!(inference::version_infer))
        .split_for_parts();
    let header = HeaderName::from_static("x-request-id");
    let mut router = api
        .route("/openapi.json", get(move || async move { Json(document) }))
        .merge(page::router())
        .fallback(|| async { Problem::not_found("there is nothing at this address") })
        .method_not_allowed_fallback(|| async { Problem::method() })
        .layer(middleware::from_fn_with_state(jobs.clone(), access::guard));
    if !jobs.settings.origins.is_empty() {
        let origins: Result<Vec<_>, _> = jobs.settings.origins.iter().map(|origin| origin.parse()).collect();
        let origins = AllowOrigin::list(origins.context("--allow-origin")?);
        let cors =
            CorsLayer::new().allow_origin(origins).allow_methods(Any).allow_headers(AllowHeaders::mirror_request());
        router = router.layer(cors.expose_headers(Any));
    }
    Ok(router
        .layer(middleware::from_fn(access::harden))
        .layer(middleware::from_fn_with_state(jobs.clone(), access::record))
        .layer(PropagateRequestIdLayer::new(header.clone()))
        .layer(SetRequestIdLayer::new(header, MakeRequestUuid))
        .with_state(jobs))
}
