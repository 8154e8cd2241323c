/* A Redis client and a scripted server on one loop. */
#include "tests/support/redis_play.h"
#include "lib/mem.h"
#include "tests/support/fake_redis.h"
#include "tests/support/loop.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct redis_play play;

static void put_value(const struct redis_value *value)
{
    static const char *const NAMES[] = {"nil", "int", "text", "error", "array"};
    buf_puts(&play.told, NAMES[value->kind]);
    if (value->kind == REDIS_INTEGER)
        buf_printf(&play.told, " %lld", (long long)value->integer);
    if (value->kind == REDIS_TEXT || value->kind == REDIS_ERROR)
        buf_printf(&play.told, " %zu '%s'", value->length, value->text);
    for (size_t i = 0; i < value->count; i++) {
        buf_puts(&play.told, i ? ", " : " ");
        put_value(&value->items[i]);
    }
}

void play_on_reply(void *arg, int status, const struct redis_value *value)
{
    ck_assert_ptr_eq(arg, &play.loop);
    ck_assert((status == 0) == (value != NULL));
    play.replies++;
    if (status)
        buf_puts(&play.told, uv_err_name(status));
    else
        put_value(value);
    buf_puts(&play.told, ";");
}

void play_on_state(struct redis *r, enum redis_state state, const char *why, void *context)
{
    static const char *const NAMES[] = {"closed ", "connecting ", "ready "};
    ck_assert_ptr_eq(context, &play.told);
    ck_assert_int_eq(redis_state(r), state);
    if (state == REDIS_CONNECTING && play.changed_ms && play.pauses < PLAY_PAUSES)
        play.pauses_ms[play.pauses++] = uv_now(&play.loop) - play.changed_ms;
    play.changed_ms = uv_now(&play.loop);
    buf_puts(&play.states, NAMES[state]);
    snprintf(play.reason, sizeof play.reason, "%s", why);
}

struct redis_options play_options(const char *form)
{
    char *text = xasprintf(form, fake_server_port(play.server));
    ck_assert_ptr_null(url_parse(text, &play.url));
    free(text);
    return (struct redis_options){.loop = &play.loop,
                                  .url = &play.url,
                                  .timeout_ms = play.timeout_ms,
                                  .context = &play.told,
                                  .on_state = play_on_state};
}

void play_start_with(const char *form)
{
    struct redis_options o = play_options(form);
    ck_assert_int_eq(redis_new(&o, &play.redis), 0);
    ck_assert_int_eq(redis_state(play.redis), REDIS_CLOSED);
}

void play_start(void)
{
    play_start_with("redis://127.0.0.1:%d");
}

void play_start_ready(void)
{
    play_start();
    loop_wait(&play.loop, redis_state(play.redis) == REDIS_READY);
    buf_clear(&play.states);
    buf_puts(&play.states, "");
}

void play_wait_closed(void)
{
    loop_wait(&play.loop, play.states.data && strstr(play.states.data, "closed"));
}

int play_call(const char *command)
{
    const char *argv[] = {command};
    unsigned before = play.replies;
    int error = redis_call(play.redis, play_on_reply, &play.loop, 1, argv, NULL);
    ck_assert_uint_eq(play.replies, before);
    return error;
}

void play_begin(void)
{
    ck_assert_int_eq(uv_loop_init(&play.loop), 0);
    play.timeout_ms = PLAY_TIMEOUT_MS;
    play.server = fake_redis_new(&play.loop);
    buf_puts(&play.told, "");
    buf_puts(&play.states, "");
}

void play_end(void)
{
    redis_free(play.redis);
    fake_server_free(play.server);
    loop_end(&play.loop);
    url_done(&play.url);
    buf_done(&play.told);
    buf_done(&play.states);
    uv_library_shutdown();
}

void play_free(void)
{
    redis_free(play.redis);
    play.redis = NULL;
}
