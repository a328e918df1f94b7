/*
 * Composes many times in one process and prints its memory, on Linux.
 *
 *     cc soak.c -lvmt -o soak && ./soak BUNDLE [TIMES]
 *
 * Of the first hundred and of the last hundred compositions it prints the mean resident set in MB.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vmt.h>

static void check(vmt_status status) {
    if (status != VMT_OK) {
        fprintf(stderr, "%s: %s\n", vmt_status_name(status), vmt_last_error());
        exit(1);
    }
}

static double resident_mb(void) {
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%*d %ld", &pages) != 1) {
        perror("/proc/self/statm");
        exit(1);
    }
    fclose(file);
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1e6;
}

int main(int argc, char **argv) {
    enum { WIDTH = 160, HEIGHT = 90, FRAMES = 30, ENDS = 100 };
    static uint8_t pixels[FRAMES][HEIGHT][WIDTH][3];
    vmt_bundle *bundle = NULL;
    vmt_composer *composer = NULL;
    vmt_composer_options loading = vmt_composer_options_default();
    double first = 0, last = 0;
    long times = argc > 2 ? atol(argv[2]) : 1000, index;

    if (argc < 2 || times < 2 * ENDS) {
        fprintf(stderr, "usage: %s BUNDLE [TIMES, at least %d]\n", argv[0], 2 * ENDS);
        return 2;
    }
    memset(pixels[FRAMES / 2], 200, sizeof pixels / 2);
    loading.engine = VMT_ENGINE_TRACT;
    check(vmt_bundle_open(argv[1], &bundle));
    check(vmt_composer_new(bundle, &loading, &composer));
    vmt_bundle_free(&bundle);
    for (index = 0; index < times; ++index) {
        vmt_film *film = NULL;
        vmt_composition *music = NULL;
        vmt_options options = vmt_options_default();
        uint32_t format;
        options.seed = (uint64_t)index;
        options.takes = 2;
        check(vmt_film_new(composer, &film));
        check(vmt_film_push_array(film, &pixels[0][0][0][0], sizeof pixels, FRAMES, HEIGHT, WIDTH, 10.0));
        check(vmt_compose(composer, film, &options, &music));
        for (format = VMT_FORMAT_MIDI; format <= VMT_FORMAT_PNG; ++format) {
            vmt_bytes *bytes = NULL;
            check(vmt_composition_render(music, 0, format, &bytes));
            vmt_bytes_free(&bytes);
        }
        vmt_composition_free(&music);
        vmt_film_free(&film);
        if (index < ENDS) {
            first += resident_mb() / ENDS;
        } else if (index >= times - ENDS) {
            last += resident_mb() / ENDS;
        }
    }
    vmt_composer_free(&composer);
    printf("%ld compositions: %.1f MB over the first %d, %.1f MB over the last\n", times, first, ENDS, last);
    return 0;
}
