//! Who may call, and what is logged of it.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use crate::handlers::Shared;
use crate::jobs::Jobs;
use crate::problem::Problem;
use crate::settings::Settings;

/// Refuses who has no token, and pages of other sites.
pub async fn guard(State(jobs): Shared, request: Request, next: Next) -> Response {
    match allowed(&jobs.settings, request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn allowed(settings: &Settings, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
    if !is_site(settings, headers) {
        return Err(Problem::forbidden_origin());
    }
    let path = uri.path();
    let is_open = !path.starts_with("/v1/") && !path.starts_with("/v2/models/");
    if is_open || settings.tokens.as_ref().is_none_or(|tokens| has_token(tokens, headers)) {
        Ok(())
    } else {
        Err(Problem::unauthorized())
    }
}

/// Whether a request comes from no page, from our own, or from one of a site that may call.
fn is_site(settings: &Settings, headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let Ok(origin) = origin.to_str() else { return false };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let is_own = origin.split_once("://").is_some_and(|(_, site)| Some(site) == host);
    is_own || settings.origins.iter().any(|known| known == origin)
}

/// Digests are compared, so that the time that it takes tells nothing of a token.
fn has_token(tokens: &[String], headers: &HeaderMap) -> bool {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.split_once(' ')).filter(|(kind, _)| kind.eq_ignore_ascii_case("bearer"));
    let Some((_, given)) = given else { return false };
    let digest = Sha256::digest(given.trim());
    tokens.iter().fold(false, |found, token| found | (Sha256::digest(token) == digest))
}

/// Counts and logs requests: by the pattern of their address, without names of files, queries and content.
pub async fn record(State(jobs): Shared, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let route = request.extensions().get::<MatchedPath>().map_or("other", |path| path.as_str()).to_owned();
    let method = request.method().clone();
    let id = request.headers().get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
    let counted = Counted { jobs: jobs.clone(), id, method: method.to_string(), route, began, status: None };
    let response = next.run(request).await;
    counted.answer(response.status().as_u16());
    response
}

/// A request whose client may leave before its answer.
struct Counted {
    jobs: Arc<Jobs>,
    id: String,
    method: String,
    route: String,
    began: Instant,
    status: Option<u16>,
}

impl Counted {
    fn answer(mut self, status: u16) {
        self.status = Some(status);
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let Self { jobs, id, method, route, began, status } = self;
        let took = began.elapsed();
        // As nginx counts those whose client has closed the connection.
        let status = status.unwrap_or(499);
        jobs.metrics.answered(route, status, took);
        let seconds = took.as_secs_f64();
        tracing::info!(request = %id, %method, %route, status, seconds, "answered");
    }
}

/// Headers of all answers: nothing is guessed, framed or fetched from elsewhere.
pub async fn harden(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let policy = "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; style-src 'self'; \
                  frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn tokens() {
        let tokens = ["one".to_owned(), "two".to_owned()];
        let check = |value: &'static str| has_token(&tokens, &headers(&[("authorization", value)]));
        assert!(check("Bearer one") && check("bearer two"));
        for bad in ["Bearer three", "Bearer ", "one", "Basic one", "Bearer one two", ""] {
            assert!(!check(bad), "{bad}");
        }
        assert!(!has_token(&tokens, &HeaderMap::new()));
    }
}
