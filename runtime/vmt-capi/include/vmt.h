#ifndef VMT_H
#define VMT_H

#include <stddef.h>
#include <stdint.h>

/*
 * vmt: composes piano scores for video.
 *
 * A bundle (a model) is loaded into a composer, once. Frames are pushed into a film, and a composer composes for it. What
 * comes out is a composition, which can be rendered as MIDI and more.
 *
 * - Every function returns a status, or cannot fail. After another status than VMT_OK, vmt_last_error() says what was wrong,
 *   in words. Pointers are set to NULL where they could not be filled.
 * - Handles are opaque and belong to the caller, who gives them back with the function whose name ends in _free. That takes
 *   the handle's address, sets it to NULL, and does nothing where it is NULL already.
 * - Structs begin with struct_size and are filled by the function whose name ends in _default, which sets it. So a program
 *   runs with a newer library, whose structs may be longer.
 * - Text is UTF-8 and ends with a zero byte.
 * - A composer can be used by several threads at once, and so can a film while nothing is pushed into it, and a composition.
 *   No handle may be freed while it is in use.
 * - No function prints, ends the program, handles signals, changes the working folder or writes a file. Only
 *   vmt_bundle_open() reads files, and loading with ONNX Runtime its library: where the environment variable ORT_DYLIB_PATH
 *   says, or where the system's loader looks.
 */

/**
 * vmt_options.bpm: tempo and beats are chosen such that the film's cuts fall on beats, and its end on a downbeat.
 */
#define VMT_TEMPO_AUTO 0.0

/**
 * vmt_options.bpm: no beats.
 */
#define VMT_TEMPO_OFF -1.0

/**
 * How a call went. Newer versions may have more.
 */
enum vmt_status
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * Done.
   */
  VMT_OK = 0,
  /**
   * A pointer is NULL that must not be, a struct has the wrong size, or a value is out of its range.
   */
  VMT_INVALID = 1,
  /**
   * A file could not be read.
   */
  VMT_IO = 2,
  /**
   * The bundle is damaged, or for another version of vmt.
   */
  VMT_BUNDLE = 3,
  /**
   * The engine (tract, ONNX Runtime) could not be started, or failed while it ran.
   */
  VMT_ENGINE = 4,
  /**
   * The library was built without it.
   */
  VMT_UNSUPPORTED = 5,
  /**
   * The caller stopped it.
   */
  VMT_CANCELLED = 6,
  /**
   * A fault of the library. What the call had in hand is in no certain state: free it.
   */
  VMT_INTERNAL = 7,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum vmt_status vmt_status;
#else
typedef int32_t vmt_status;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What can be built into the library.
 */
enum vmt_capability
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * The engine tract.
   */
  VMT_HAS_TRACT = 1,
  /**
   * The engine ONNX Runtime. Its library is looked for when a composer is made.
   */
  VMT_HAS_ORT = 2,
  /**
   * ONNX Runtime on an NVIDIA GPU.
   */
  VMT_HAS_CUDA = 3,
  /**
   * vmt_bundle_built_in().
   */
  VMT_HAS_BUILT_IN = 4,
  /**
   * A piano, for VMT_FORMAT_WAV.
   */
  VMT_HAS_PIANO = 5,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum vmt_capability vmt_capability;
#else
typedef uint32_t vmt_capability;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What runs the model.
 */
enum vmt_engine
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * ONNX Runtime where its library is found, else tract.
   */
  VMT_ENGINE_AUTO = 0,
  /**
   * tract, on the CPU: inside the library.
   */
  VMT_ENGINE_TRACT = 1,
  /**
   * ONNX Runtime on the CPU.
   */
  VMT_ENGINE_ORT = 2,
  /**
   * ONNX Runtime on an NVIDIA GPU.
   */
  VMT_ENGINE_CUDA = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum vmt_engine vmt_engine;
#else
typedef uint32_t vmt_engine;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What an event is.
 */
enum vmt_event_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * A key goes down; value is its MIDI number, 21-108.
   */
  VMT_EVENT_NOTE_ON = 0,
  /**
   * A key comes up; value is its MIDI number.
   */
  VMT_EVENT_NOTE_OFF = 1,
  /**
   * Time goes on; value is by how many steps of 10 ms, 1-100.
   */
  VMT_EVENT_TIME_SHIFT = 2,
  /**
   * The velocity of the notes that follow; value is that of MIDI, 1-127.
   */
  VMT_EVENT_VELOCITY = 3,
  /**
   * The model's window is over. Value is 0.
   */
  VMT_EVENT_END = 4,
  /**
   * Nothing; without the grammar only. Value is 0.
   */
  VMT_EVENT_PAD = 5,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum vmt_event_kind vmt_event_kind;
#else
typedef uint32_t vmt_event_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What music can become.
 */
enum vmt_format
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * A MIDI file, with bars, key and hit points of the click track where there is one.
   */
  VMT_FORMAT_MIDI = 0,
  /**
   * A record of how the music was made, which `vmt compose --from` renders again.
   */
  VMT_FORMAT_JSON = 1,
  /**
   * A score for two hands.
   */
  VMT_FORMAT_MUSICXML = 2,
  /**
   * A piano roll as SVG.
   */
  VMT_FORMAT_SVG = 3,
  /**
   * The same as PNG.
   */
  VMT_FORMAT_PNG = 4,
  /**
   * A grand piano, 16-bit stereo at 48 kHz, at most 6 hours. A minute takes 35 MB of memory meanwhile.
   */
  VMT_FORMAT_WAV = 5,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum vmt_format vmt_format;
#else
typedef uint32_t vmt_format;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * A model: a manifest and two ONNX graphs.
 */
typedef struct vmt_bundle vmt_bundle;

/**
 * Bytes, such as those of a file.
 */
typedef struct vmt_bytes vmt_bytes;

/**
 * Stops composing from any thread.
 */
typedef struct vmt_cancellation vmt_cancellation;

/**
 * A model that is ready to compose.
 */
typedef struct vmt_composer vmt_composer;

/**
 * The takes that were composed side by side, the best first.
 */
typedef struct vmt_composition vmt_composition;

/**
 * A film, as far as composing needs it: of a minute some megabytes are kept, whatever the size of its frames.
 */
typedef struct vmt_film vmt_film;

/**
 * How to load a model.
 */
typedef struct vmt_composer_options {
  /**
   * The size of this struct.
   */
  size_t struct_size;
  /**
   * A vmt_engine: VMT_ENGINE_AUTO.
   */
  uint32_t engine;
  /**
   * Threads for the model, at most four for each core: 1. More pay for large models and many takes only; the music does not depend on them.
   */
  uint32_t threads;
} vmt_composer_options;

/**
 * A picture of a film, and when it is on screen.
 */
typedef struct vmt_frame {
  /**
   * The size of this struct.
   */
  size_t struct_size;
  /**
   * 8-bit RGB, row by row from the top, 3 bytes to a pixel. Read during the call only.
   */
  const uint8_t *pixels;
  /**
   * How many bytes there are, at least stride * (height - 1) + 3 * width.
   */
  size_t pixels_size;
  /**
   * Pixels in a row, 1-16384.
   */
  uint32_t width;
  /**
   * Rows, 1-16384.
   */
  uint32_t height;
  /**
   * Bytes from the beginning of a row to that of the next; 0: 3 * width.
   */
  size_t stride;
  /**
   * When it appears, in nanoseconds from the film's beginning; frames come in the order of their times.
   */
  uint64_t time_ns;
  /**
   * How long it stays, in nanoseconds. The next frame ends it anyway; the last frame's duration ends the film.
   */
  uint64_t duration_ns;
} vmt_frame;

/**
 * An event of a take.
 */
typedef struct vmt_event {
  /**
   * The size of this struct.
   */
  size_t struct_size;
  /**
   * When in the film, in nanoseconds; of a pause, when it is over.
   */
  uint64_t time_ns;
  /**
   * Which of the takes, from 0, in the order in which they were begun.
   */
  uint32_t take;
  /**
   * A vmt_event_kind.
   */
  uint32_t kind;
  /**
   * What that says.
   */
  uint32_t value;
} vmt_event;

/**
 * Is told each event as it is decoded, on the thread that composes, with vmt_options.user. Another value than 0 stops
 * composing. It must return, and must not throw.
 */
typedef int32_t (*vmt_event_fn)(const struct vmt_event *event, void *user);

/**
 * How to compose.
 */
typedef struct vmt_options {
  /**
   * The size of this struct.
   */
  size_t struct_size;
  /**
   * Seed of the random numbers: 0. The same seed, film, bundle, engine and options give the same music.
   */
  uint64_t seed;
  /**
   * Softmax temperature, 0-100; 0 always takes the most probable event. The default is vmt's own.
   */
  float temperature;
  /**
   * Sample from the most probable events that together reach this probability, above 0 and at most 1. The default is vmt's own.
   */
  float top_p;
  /**
   * Sample from so many of the most probable events only, at most 310; 0, the default: from all.
   */
  uint32_t top_k;
  /**
   * Scale of classifier-free guidance, 0-10: 1. 0 ignores the film, more than 1 exaggerates its influence.
   */
  float guidance;
  /**
   * Pieces that are composed side by side, 1-1024: 1. The best comes first.
   */
  uint32_t takes;
  /**
   * At most so many notes at once, 1-88: 12; 0: no limit.
   */
  uint32_t max_polyphony;
  /**
   * Only notes from this one on, 21-108; 0, the default: from 21 on.
   */
  uint8_t pitch_low;
  /**
   * Only notes up to this one, 21-108; 0, the default: up to 108.
   */
  uint8_t pitch_high;
  /**
   * Only velocities from this one on, 1-127; 0, the default: from 1 on.
   */
  uint8_t velocity_low;
  /**
   * Only velocities up to this one, 1-127; 0, the default: up to 127.
   */
  uint8_t velocity_high;
  /**
   * Not 0: sample without the grammar that keeps the music playable; max_polyphony must be 0 then. The default is 0.
   */
  uint8_t unconstrained;
  /**
   * Not 0, the default: notes begin on sixteenths of the beats, where there are beats.
   */
  uint8_t quantize;
  /**
   * Not 0, the default: the music is dense and loud where the picture changes much. For bundles with conditions.
   */
  uint8_t follow_film;
  /**
   * Beats in a bar, 3 or 4; 0, the default: 4, or chosen with VMT_TEMPO_AUTO.
   */
  uint8_t beats_per_bar;
  /**
   * Only notes of this scale, such as "F# minor"; NULL, the default: of any, in a key that the seed draws.
   */
  const char *scale;
  /**
   * Notes a second to aim at, above 0 and at most 100; 0, the default: as the model likes.
   */
  double density;
  /**
   * Beats a minute, 20-400, VMT_TEMPO_AUTO, the default, or VMT_TEMPO_OFF. Bundles without conditions play to no beats: there
   * it is how MIDI and MusicXML count, 120 by default.
   */
  double bpm;
  /**
   * Without a film: how long the music is to be, in nanoseconds.
   */
  uint64_t duration_ns;
  /**
   * The film's name in VMT_FORMAT_JSON, a path; NULL, the default: "-".
   */
  const char *film_name;
  /**
   * Is told each event; NULL, the default: nobody is.
   */
  vmt_event_fn on_event;
  /**
   * Is handed to on_event.
   */
  void *user;
  /**
   * Stops composing from another thread; NULL, the default: nobody does.
   */
  const struct vmt_cancellation *cancellation;
} vmt_options;

/**
 * How a take was composed.
 */
typedef struct vmt_info {
  /**
   * The size of this struct.
   */
  size_t struct_size;
  /**
   * How long the music is, in nanoseconds.
   */
  uint64_t duration_ns;
  /**
   * Number of notes.
   */
  size_t notes;
  /**
   * Number of events that were decoded.
   */
  size_t events;
  /**
   * Which of the takes it is, from 0, in the order in which they were begun.
   */
  uint32_t take;
  /**
   * 1 if the film's end was reached, 0 if composing was stopped.
   */
  uint32_t complete;
  /**
   * The mean natural logarithm of the model's probability of an event.
   */
  double log_probability;
  /**
   * What takes are sorted by: typicality (how near -log_probability is to what the model expects) less penalties for repetition, silence and density.
   */
  double rank;
  /**
   * Beats a minute: of the click track, nominally, or as MIDI counts.
   */
  double bpm;
} vmt_info;

/**
 * A note.
 */
typedef struct vmt_note {
  /**
   * When the key goes down, in seconds; whole hundredths.
   */
  double start;
  /**
   * When it comes up.
   */
  double end;
  /**
   * The MIDI number of the key, 21-108.
   */
  uint8_t pitch;
  /**
   * The MIDI velocity, 1-127.
   */
  uint8_t velocity;
} vmt_note;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The version of the interface: 1. It changes where a program that was built with an older header would go wrong.
 */
uint32_t vmt_abi_version(void);

/**
 * The version of vmt, such as "0.1.0".
 */
const char *vmt_version(void);

/**
 * 1 if a vmt_capability is built in, else 0; 0 for numbers that are none.
 */
int32_t vmt_has(uint32_t capability);

/**
 * What was wrong with the last call of this thread that failed; empty if none did. It holds until the next call of this
 * thread fails.
 */
const char *vmt_last_error(void);

/**
 * The name of a status, such as "VMT_INVALID", and "?" for a number that is none.
 */
const char *vmt_status_name(int32_t status);

/**
 * Reads the bundle in a folder and checks it. VMT_IO: a file cannot be read. VMT_BUNDLE: it is not as it must be.
 */
vmt_status vmt_bundle_open(const char *path, struct vmt_bundle **out);

/**
 * A bundle from memory: the bytes of its files manifest.yaml, encoder.onnx and decoder.onnx, which are copied. VMT_BUNDLE: it is
 * not as it must be.
 */
vmt_status vmt_bundle_from_memory(const uint8_t *manifest,
                                  size_t manifest_size,
                                  const uint8_t *encoder,
                                  size_t encoder_size,
                                  const uint8_t *decoder,
                                  size_t decoder_size,
                                  struct vmt_bundle **out);

/**
 * The bundle inside the library. VMT_UNSUPPORTED: there is none.
 */
vmt_status vmt_bundle_built_in(struct vmt_bundle **out);

/**
 * Frees a bundle. Composers that were made with it go on.
 */
void vmt_bundle_free(struct vmt_bundle **bundle);

/**
 * The defaults, which the fields' comments give.
 */
struct vmt_composer_options vmt_composer_options_default(void);

/**
 * Loads a bundle; NULL options are the defaults. VMT_UNSUPPORTED: the engine is not built in. VMT_ENGINE: it cannot be started,
 * or the bundle's graphs are damaged.
 */
vmt_status vmt_composer_new(const struct vmt_bundle *bundle,
                            const struct vmt_composer_options *options,
                            struct vmt_composer **out);

/**
 * The engine at work, such as "tract" or "ort", until the composer is freed; NULL for NULL.
 */
const char *vmt_composer_engine(const struct vmt_composer *composer);

/**
 * Frees a composer. Films and compositions that were made with it stay.
 */
void vmt_composer_free(struct vmt_composer **composer);

/**
 * A frame to fill in: all but its size is 0.
 */
struct vmt_frame vmt_frame_default(void);

/**
 * An empty film for a composer, or for others with the same bundle.
 */
vmt_status vmt_film_new(const struct vmt_composer *composer, struct vmt_film **out);

/**
 * Adds the next frame, scaled to the model's size. VMT_INVALID: size, stride and bytes do not agree, or the time is not behind that
 * of the frame before; the film is as it was then.
 */
vmt_status vmt_film_push(struct vmt_film *film,
                         const struct vmt_frame *frame);

/**
 * Adds a whole array of frames: pixels is `[frames, height, width, 3]`, 8-bit RGB, and there are fps frames a second, 0.001-1000. They
 * follow what the film has. VMT_INVALID: as vmt_film_push(); the film may have some of them then.
 */
vmt_status vmt_film_push_array(struct vmt_film *film,
                               const uint8_t *pixels,
                               size_t pixels_size,
                               size_t frames,
                               uint32_t height,
                               uint32_t width,
                               double fps);

/**
 * Frees a film.
 */
void vmt_film_free(struct vmt_film **film);

/**
 * Makes a cancellation, for vmt_options. It can be named in the options of several calls, and stops all of them.
 */
vmt_status vmt_cancellation_new(struct vmt_cancellation **out);

/**
 * Stops the calls of vmt_compose() that have it in their options, those to come too, before their next step. Any thread may call
 * this.
 */
vmt_status vmt_cancellation_cancel(const struct vmt_cancellation *cancellation);

/**
 * Frees a cancellation, which must not be in use.
 */
void vmt_cancellation_free(struct vmt_cancellation **cancellation);

/**
 * Composes for a film, or, where that is NULL, music of vmt_options.duration_ns for no film; NULL options are the defaults.
 *
 * VMT_CANCELLED: the callback or the cancellation stopped it, within one step of the model. Then out holds the music so far,
 * which the caller frees. VMT_INVALID: an option is out of its range, the film is empty, or it was made for another bundle.
 * VMT_ENGINE: the engine failed.
 */
vmt_status vmt_compose(const struct vmt_composer *composer,
                       const struct vmt_film *film,
                       const struct vmt_options *options,
                       struct vmt_composition **out);

/**
 * The defaults, which the fields' comments give.
 */
struct vmt_options vmt_options_default(void);

/**
 * An info to be filled in.
 */
struct vmt_info vmt_info_default(void);

/**
 * How many takes there are; 0 for NULL.
 */
size_t vmt_composition_takes(const struct vmt_composition *composition);

/**
 * Fills in how a take was composed; take 0 is the best. The struct's size must be set, as vmt_info_default() does.
 */
vmt_status vmt_composition_info(const struct vmt_composition *composition, size_t take, struct vmt_info *info);

/**
 * Where the notes of a take are, in the order of their beginnings, until the composition is freed, and how many; take 0 is the
 * best.
 */
vmt_status vmt_composition_notes(const struct vmt_composition *composition,
                                 size_t take,
                                 const struct vmt_note **notes,
                                 size_t *count);

/**
 * Renders a take as a vmt_format; take 0 is the best. VMT_UNSUPPORTED: the library was built without it.
 */
vmt_status vmt_composition_render(const struct vmt_composition *composition,
                                  size_t take,
                                  uint32_t format,
                                  struct vmt_bytes **out);

/**
 * Frees a composition and its notes.
 */
void vmt_composition_free(struct vmt_composition **composition);

/**
 * Where the bytes are, until they are freed; NULL for NULL.
 */
const uint8_t *vmt_bytes_data(const struct vmt_bytes *bytes);

/**
 * How many there are; 0 for NULL.
 */
size_t vmt_bytes_size(const struct vmt_bytes *bytes);

/**
 * Frees bytes.
 */
void vmt_bytes_free(struct vmt_bytes **bytes);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* VMT_H */
