//! Criterion benches at the paper's size: the encoder, a decoder step after 0, 256 and 1000 events, a whole window.

mod paper;

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion};
use vmt::{Composer, Event, Options, Shift, Token, Window};

fn main() -> anyhow::Result<()> {
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    for model in ["vmt", "seq2seq"] {
        for (name, engine) in paper::engines(&paper::bundle(model)?)? {
            let clip = paper::clip(&engine.geometry())?;
            let clips = std::slice::from_ref(&clip);
            let mut group = criterion.benchmark_group(format!("paper-{model}/{name}"));
            group.bench_function("encoder", |bench| bench.iter(|| engine.open(clips).map(drop)));

            let token = Token::from(Event::TimeShift(Shift::MIN));
            for past in [0, 256, 1000] {
                group.bench_function(BenchmarkId::new("step", past), |bench| {
                    // A step makes the past longer, so each is timed in a session of its own.
                    bench.iter_custom(|steps| {
                        let time = |_| -> vmt::Result<Duration> {
                            let mut session = engine.open(clips)?;
                            if past > 0 {
                                session.feed(&[&vec![token; past]])?;
                            }
                            let began = Instant::now();
                            session.step(&[token])?;
                            Ok(began.elapsed())
                        };
                        (0..steps).map(|step| time(step).expect("the engine runs")).sum()
                    });
                });
            }

            let composer = Composer::with_engine(engine, 1024);
            group.bench_function("compose 10 s", |bench| {
                bench.iter(|| {
                    let window =
                        Window { start: Duration::ZERO, duration: Duration::from_secs(10), clip: clip.clone() };
                    composer.compose::<vmt::Error>([Ok(window)], &Options::default(), |_| {}).map(drop)
                });
            });
        }
    }
    criterion.final_summary();
    Ok(())
}
