/*
 * Composes for six seconds of film that it draws itself, and writes music.mid.
 *
 *     cc compose.c -lvmt -o compose && ./compose music.mid
 *
 * A folder named after the file is a bundle to take instead of the one inside the library; then tract runs it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vmt.h>

enum { WIDTH = 320, HEIGHT = 180, FPS = 10, FRAMES = 60 };

static void check(vmt_status status) {
    if (status != VMT_OK) {
        fprintf(stderr, "%s: %s\n", vmt_status_name(status), vmt_last_error());
        exit(1);
    }
}

static int32_t on_event(const vmt_event *event, void *notes) {
    if (event->kind == VMT_EVENT_NOTE_ON) {
        ++*(size_t *)notes;
        printf("%6.2f s: key %u\n", (double)event->time_ns / 1e9, (unsigned)event->value);
    }
    return 0; /* anything else stops composing */
}

int main(int argc, char **argv) {
    static uint8_t pixels[HEIGHT * WIDTH * 3];
    vmt_bundle *bundle = NULL;
    vmt_composer *composer = NULL;
    vmt_film *film = NULL;
    vmt_composition *music = NULL;
    vmt_bytes *midi = NULL;
    vmt_composer_options loading = vmt_composer_options_default();
    vmt_options options = vmt_options_default();
    size_t notes = 0, index;
    FILE *file;

    if (argc < 2) {
        fprintf(stderr, "usage: %s FILE.mid [BUNDLE]\n", argv[0]);
        return 2;
    }
    if (argc > 2) {
        check(vmt_bundle_open(argv[2], &bundle));
        loading.engine = VMT_ENGINE_TRACT;
    } else {
        check(vmt_bundle_built_in(&bundle));
    }
    check(vmt_composer_new(bundle, &loading, &composer));
    vmt_bundle_free(&bundle);

    check(vmt_film_new(composer, &film));
    for (index = 0; index < FRAMES; ++index) {
        vmt_frame frame = vmt_frame_default();
        memset(pixels, index < FRAMES / 2 ? 40 : 200, sizeof pixels); /* a cut in the middle */
        frame.pixels = pixels;
        frame.pixels_size = sizeof pixels;
        frame.width = WIDTH;
        frame.height = HEIGHT;
        frame.duration_ns = 1000000000 / FPS;
        frame.time_ns = index * frame.duration_ns;
        check(vmt_film_push(film, &frame));
    }

    options.seed = 1;
    options.on_event = on_event;
    options.user = &notes;
    check(vmt_compose(composer, film, &options, &music));
    check(vmt_composition_render(music, 0, VMT_FORMAT_MIDI, &midi));
    file = fopen(argv[1], "wb");
    if (file == NULL || fwrite(vmt_bytes_data(midi), 1, vmt_bytes_size(midi), file) != vmt_bytes_size(midi) ||
        fclose(file) != 0) {
        perror(argv[1]);
        return 1;
    }
    printf("vmt %s, %s: %u notes\n", vmt_version(), vmt_composer_engine(composer), (unsigned)notes);

    vmt_bytes_free(&midi);
    vmt_composition_free(&music);
    vmt_film_free(&film);
    vmt_composer_free(&composer);
    return 0;
}
