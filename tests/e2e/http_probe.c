/* SPDX-License-Identifier: Apache-2.0 */
/* Asks a server twice with one HTTP client, over two connections, and prints both
 * bodies. With in_turn the second request begins after the first has ended, else
 * meanwhile.
 *
 * usage: http_probe URL [ca_file=F] [cert_file=F] [key_file=F] [server_name=N]
 *                   [in_turn=yes] */
#include <stdio.h>

#include "common/base/clock.h"
#include "common/net/http_client.h"

struct probe {
    struct net_http_client *client;
    struct net_http_request request;
    struct net_http_response responses[2];
};

static bool
print(void *arg, struct bytes piece, struct err *err)
{
    (void)arg, (void)err;
    printf("%.*s", BYTES_FMT(piece));
    return true;
}

/* Asks again while the first connection is in use, so on a new one. */
static bool
print_and_ask(void *arg, struct bytes piece, struct err *err)
{
    struct probe *p = arg;
    p->request.sink = print;
    return print(NULL, piece, err) &&
           net_http_perform(p->client, &p->request, &p->responses[1], err);
}

static bool
set_option(struct net_http_client_options *o, const char **in_turn, const char *text)
{
    const struct {
        struct bytes name;
        const char **value;
    } known[] = {{BYTES("ca_file="), &o->ca_file},
                 {BYTES("cert_file="), &o->cert_file},
                 {BYTES("key_file="), &o->key_file},
                 {BYTES("server_name="), &o->server_name},
                 {BYTES("in_turn="), in_turn}};
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (bytes_starts_with(bytes_of_str(text), known[i].name)) {
            *known[i].value = text + known[i].name.len;
            return true;
        }
    return false;
}

int
main(int argc, char **argv)
{
    struct net_http_client_options options = {.user_agent = "http_probe/1"};
    static struct probe p;
    const char *in_turn = NULL;
    struct err err;
    for (int i = 2; i < argc; i++)
        if (!set_option(&options, &in_turn, argv[i]))
            argc = 0;
    if (argc < 2) {
        fprintf(stderr, "usage: http_probe URL [OPTION=VALUE ...]\n");
        return 2;
    }
    p.request =
        (struct net_http_request){.method = "GET",
                                  .url = argv[1],
                                  .sink = in_turn != NULL ? print : print_and_ask,
                                  .sink_arg = &p,
                                  .deadline_ns = clock_deadline(20 * CLOCK_NS_PER_S)};
    const struct net_http_request first = p.request;
    bool ok =
        net_http_client_new(&p.client, &options, &err) &&
        net_http_perform(p.client, &first, &p.responses[0], &err) &&
        (in_turn == NULL || net_http_perform(p.client, &first, &p.responses[1], &err));
    if (!ok)
        printf("%s: %s\n", err_code_name(err.code), err.text);
    net_http_client_free(&p.client);
    return !ok;
}
