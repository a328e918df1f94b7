//! The page for people; all of it is in the program.

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;

/// Address, media type and content.
const FILES: [(&str, &str, &[u8]); 6] = [
    ("/", "text/html; charset=utf-8", include_bytes!("../page/index.html")),
    ("/page.css", "text/css; charset=utf-8", include_bytes!("../page/page.css")),
    ("/page.js", "text/javascript; charset=utf-8", include_bytes!("../page/page.js")),
    ("/api.js", "text/javascript; charset=utf-8", include_bytes!("../page/api.js")),
    ("/roll.js", "text/javascript; charset=utf-8", include_bytes!("../page/roll.js")),
    ("/example.mp4", "video/mp4", include_bytes!("../../../tests/data/demo.mp4")),
];

/// The page and its files.
pub fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    FILES.into_iter().fold(Router::new(), |router, (path, media, content)| {
        let file = move || async move {
            ([(header::CONTENT_TYPE, media), (header::CACHE_CONTROL, "no-cache")], content).into_response()
        };
        router.route(path, get(file))
    })
}
