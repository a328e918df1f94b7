//! The Open Inference Protocol, version 2 (KServe, Triton), over HTTP: the model `vmt` takes a film and gives music.
//!
//! Inputs are `film`, of the datatype `BYTES` and the shape `[1]`, in binary form (the extension `binary_tensor_data`), since JSON
//! cannot hold bytes. Options are the request's parameters by their names. Outputs are `music`, the best take as a MIDI file,
//! or as the parameter `format` says.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::body::{Incoming, Saved};
use crate::compose::Call;
use crate::formats::FORMATS;
use crate::handlers::{CancelOnDrop, Shared, queue, rendered};
use crate::jobs::{Admission, Jobs};
use crate::problem::Problem;

/// The name of the only model, and of its only version.
const MODEL: &str = "vmt";
const VERSION: &str = "1";
/// The header that says how many bytes of a body are JSON; binary tensors are behind them.
const JSON_LENGTH: &str = "inference-header-content-length";
/// The most bytes of JSON in a request.
const MOST_JSON: usize = 1 << 20;

/// Errors in the protocol's form.
pub struct Refusal(Problem);

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        self.0.response(Json(json!({ "error": self.0.reason().message })))
    }
}

type Answer = Result<Response, Refusal>;

/// A request's JSON.
#[derive(Deserialize)]
struct Inference {
    id: Option<String>,
    #[serde(default)]
    parameters: BTreeMap<String, Value>,
    inputs: Vec<Input>,
    #[serde(default)]
    outputs: Vec<Output>,
}

#[derive(Deserialize)]
struct Input {
    name: String,
    datatype: String,
    shape: Vec<i64>,
    #[serde(default)]
    parameters: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct Output {
    name: String,
    #[serde(default)]
    parameters: BTreeMap<String, Value>,
}

/// What the server is
#[utoipa::path(get, path = "/v2", responses((status = 200, description = "Name, version and extensions")))]
pub async fn server(State(jobs): Shared) -> Answer {
    let version = jobs.compose()?.about().version;
    Ok(Json(json!({ "name": "vmt", "version": version, "extensions": ["binary_tensor_data"] })).into_response())
}

/// Whether the server lives
#[utoipa::path(get, path = "/v2/health/live", operation_id = "v2_live", responses((status = 200, description = "It does")))]
pub async fn live() -> Json<Value> {
    Json(json!({ "live": true }))
}

/// Whether the server takes requests
#[utoipa::path(
    get,
    path = "/v2/health/ready",
    operation_id = "v2_ready",
    responses((status = 200, description = "It does"), (status = 503, description = "It is loading, or about to end"))
)]
pub async fn ready(State(jobs): Shared) -> Answer {
    jobs.compose()?;
    Ok(Json(json!({ "ready": true })).into_response())
}

/// What the model takes and gives
#[utoipa::path(
    get,
    path = "/v2/models/{model}",
    params(("model" = String, Path, description = "vmt")),
    responses((status = 200, description = "Inputs and outputs"), (status = 404, description = "No such model"))
)]
pub async fn model(State(jobs): Shared, Path(model): Path<String>) -> Answer {
    describe(&jobs, &model, VERSION)
}

/// The same for its version
#[utoipa::path(
    get,
    path = "/v2/models/{model}/versions/{version}",
    params(("model" = String, Path, description = "vmt"), ("version" = String, Path, description = "1")),
    responses((status = 200, description = "Inputs and outputs"), (status = 404, description = "No such model"))
)]
pub async fn version(State(jobs): Shared, Path((model, version)): Path<(String, String)>) -> Answer {
    describe(&jobs, &model, &version)
}

fn describe(jobs: &Jobs, model: &str, version: &str) -> Answer {
    known(model, version)?;
    let platform = jobs.compose()?.about().engine;
    let tensor = |name: &str| json!([{ "name": name, "datatype": "BYTES", "shape": [1] }]);
    let body = json!({
        "name": MODEL, "versions": [VERSION], "platform": platform, "inputs": tensor("film"), "outputs": tensor("music"),
    });
    Ok(Json(body).into_response())
}

/// Whether the model takes requests
#[utoipa::path(
    get,
    path = "/v2/models/{model}/ready",
    params(("model" = String, Path, description = "vmt")),
    responses((status = 200, description = "It does"), (status = 503, description = "It is loading, or about to end"))
)]
pub async fn model_ready(State(jobs): Shared, Path(model): Path<String>) -> Answer {
    known(&model, VERSION)?;
    jobs.compose()?;
    Ok(Json(json!({ "name": MODEL, "ready": true })).into_response())
}

/// The same for its version
#[utoipa::path(
    get,
    path = "/v2/models/{model}/versions/{version}/ready",
    params(("model" = String, Path, description = "vmt"), ("version" = String, Path, description = "1")),
    responses((status = 200, description = "It does"), (status = 503, description = "It is loading, or about to end"))
)]
pub async fn version_ready(State(jobs): Shared, Path((model, version)): Path<(String, String)>) -> Answer {
    known(&model, &version)?;
    jobs.compose()?;
    Ok(Json(json!({ "name": MODEL, "ready": true })).into_response())
}

/// Composes for a film
///
/// The input is `film`, BYTES of the shape [1] in binary form; options are the request's parameters, such as `takes` and `seed`, and
/// `format`, the extension of the file that the output `music` is (`mid` by default).
#[utoipa::path(
    post,
    path = "/v2/models/{model}/infer",
    params(("model" = String, Path, description = "vmt")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, description = "The output `music`"), (status = 400, description = "The request is none"))
)]
pub async fn infer(
    jobs: Shared,
    peer: ConnectInfo<SocketAddr>,
    Path(model): Path<String>,
    headers: HeaderMap,
    request: Request,
) -> Answer {
    compose(jobs, peer, &model, VERSION, headers, request).await
}

/// The same for its version
#[utoipa::path(
    post,
    path = "/v2/models/{model}/versions/{version}/infer",
    params(("model" = String, Path, description = "vmt"), ("version" = String, Path, description = "1")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, description = "The output `music`"), (status = 400, description = "The request is none"))
)]
pub async fn version_infer(
    jobs: Shared,
    peer: ConnectInfo<SocketAddr>,
    Path((model, version)): Path<(String, String)>,
    headers: HeaderMap,
    request: Request,
) -> Answer {
    compose(jobs, peer, &model, &version, headers, request).await
}

async fn compose(
    State(jobs): Shared,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    model: &str,
    version: &str,
    headers: HeaderMap,
    request: Request,
) -> Answer {
    let mut body = Incoming::new(&jobs.settings, &headers, request.into_body());
    match answer(&jobs, peer, model, version, &headers, &mut body).await {
        Ok(answer) => Ok(answer),
        Err(problem) => {
            body.discard().await;
            Err(problem.into())
        }
    }
}

async fn answer(
    jobs: &Arc<Jobs>,
    peer: SocketAddr,
    model: &str,
    version: &str,
    headers: &HeaderMap,
    body: &mut Incoming,
) -> Result<Response, Problem> {
    known(model, version)?;
    jobs.compose()?;
    let admission = jobs.admit(peer.ip())?;
    let (inference, call) = receive(&admission, headers, body).await?;
    let format = inference.parameters.get("format").map_or(Some("mid"), Value::as_str);
    let extension = format.and_then(|format| FORMATS.iter().find(|(known, _)| *known == format));
    let extension = extension.ok_or_else(|| Problem::bad_option("format: must be an extension, such as mid or wav"))?.0;
    let job = queue(jobs, admission, call).await?;
    let left = CancelOnDrop { jobs, job: Some(job.clone()) };
    job.ended().await;
    let path = rendered(jobs, &job, 1, extension).await?;
    let music = tokio::fs::read(path).await.map_err(|error| Problem::of_writing(&error))?;
    // The answer is all that there is of it.
    left.keep();
    jobs.forget(&job);

    let mut tensor = u32::try_from(music.len()).map_err(Problem::internal)?.to_le_bytes().to_vec();
    tensor.extend(music);
    let output = json!({
        "name": "music", "datatype": "BYTES", "shape": [1], "parameters": { "binary_data_size": tensor.len() },
    });
    let mut answer = json!({ "model_name": MODEL, "model_version": VERSION, "outputs": [output] });
    if let Some(id) = inference.id {
        answer["id"] = id.into();
    }
    let mut bytes = serde_json::to_vec(&answer).map_err(Problem::internal)?;
    let length = HeaderValue::from(bytes.len());
    bytes.extend(tensor);
    let media = HeaderValue::from_static("application/octet-stream");
    Ok(([(header::CONTENT_TYPE, media), (JSON_LENGTH.parse().map_err(Problem::internal)?, length)], bytes)
        .into_response())
}

fn known(model: &str, version: &str) -> Result<(), Problem> {
    if (model, version) == (MODEL, VERSION) {
        return Ok(());
    }
    Err(Problem::not_found(format!("there is one model, {MODEL}, with one version, {VERSION}")))
}

/// Reads the JSON, and writes the film behind it into the request's folder.
async fn receive(
    admission: &Admission,
    headers: &HeaderMap,
    body: &mut Incoming,
) -> Result<(Inference, Call), Problem> {
    let wrong = |message: &str| Problem::bad_request(message.to_owned());
    let binary = "the film must be in binary form: the header Inference-Header-Content-Length, JSON, then the tensor";
    let length = headers.get(JSON_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    let length = length.ok_or_else(|| wrong(binary))?;
    if length > MOST_JSON {
        return Err(Problem::bad_request(format!("the JSON must have at most {MOST_JSON} bytes")));
    }
    // The JSON, and the tensor's length.
    let mut head = Vec::new();
    while head.len() < length + 4 {
        let Some(bytes) = body.next().await? else { return Err(wrong("the body ends before its tensor")) };
        head.extend(&bytes);
    }
    let film = head.split_off(length + 4);
    let inference: Inference =
        serde_json::from_slice(&head[..length]).map_err(|error| Problem::bad_request(format!("the JSON: {error}")))?;
    let size = u32::from_le_bytes([head[length], head[length + 1], head[length + 2], head[length + 3]]);
    let [Input { name, datatype, shape, parameters }] = inference.inputs.as_slice() else {
        return Err(wrong("there must be one input, film"));
    };
    let announced = parameters.get("binary_data_size").and_then(Value::as_u64);
    let fits = (name.as_str(), datatype.as_str(), shape.as_slice()) == ("film", "BYTES", &[1]);
    if !fits || announced != Some(u64::from(size) + 4) {
        return Err(wrong(
            "the input must be film, BYTES, shape [1], with binary_data_size of its 4 bytes of length and the film",
        ));
    }
    let outputs = &inference.outputs;
    if outputs
        .iter()
        .any(|output| output.name != "music" || output.parameters.get("binary_data") == Some(&false.into()))
    {
        return Err(wrong("the output is music, in binary form"));
    }
    let mut left = u64::from(size);
    let mut call = Call { folder: admission.folder(), options: Vec::new(), files: Vec::new() };
    let mut saved = Saved::create(&call.film()).await?;
    let mut next = Some(Bytes::from(film));
    while let Some(bytes) = next {
        left = left.checked_sub(bytes.len() as u64).ok_or_else(|| wrong("there are bytes behind the tensor"))?;
        saved.write(admission, &bytes).await?;
        next = body.next().await?;
    }
    saved.finish().await?;
    if left > 0 || size == 0 {
        return Err(wrong("the body ends before its tensor, or the film is empty"));
    }
    let of_protocol = |name: &str| name == "format" || name.starts_with("binary_data");
    for (name, value) in inference.parameters.iter().filter(|(name, _)| !of_protocol(name)) {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        call.options.push((name.clone(), value));
    }
    Ok((inference, call))
}
