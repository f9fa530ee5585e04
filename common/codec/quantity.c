/* SPDX-License-Identifier: Apache-2.0 */
#include "common/codec/quantity.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/compiler.h"
#include "common/base/num.h"

struct unit {
    const char *name;
    uint64_t factor;
};

enum { HOUR_S = 3600, DAY_S = 24 * HOUR_S, WEEK_S = 7 * DAY_S, YEAR_S = 365 * DAY_S };

/* 18 digits: further ones change no result. */
#define MAX_FRACTION UINT64_C(1000000000000000000)

#define SECONDS(n) ((uint64_t)(n) * (uint64_t)CLOCK_NS_PER_S)

/* Longer names before their own beginnings. Micro has two code points. */
static const struct unit durations[] = {
    {"ns", 1},
    {"us", 1000},
    {"\u00b5s", 1000},
    {"\u03bcs", 1000},
    {"ms", (uint64_t)CLOCK_NS_PER_MS},
    {"s", SECONDS(1)},
    {"m", SECONDS(60)},
    {"h", SECONDS(HOUR_S)},
    {"d", SECONDS(DAY_S)},
    {"w", SECONDS(WEEK_S)},
    {"y", SECONDS(YEAR_S)},
    {NULL, 0},
};

static const struct unit sizes[] = {
    {"B", 1},
    {"KB", UINT64_C(1) << 10},
    {"KiB", UINT64_C(1) << 10},
    {"MB", UINT64_C(1) << 20},
    {"MiB", UINT64_C(1) << 20},
    {"GB", UINT64_C(1) << 30},
    {"GiB", UINT64_C(1) << 30},
    {"TB", UINT64_C(1) << 40},
    {"TiB", UINT64_C(1) << 40},
    {"PB", UINT64_C(1) << 50},
    {"PiB", UINT64_C(1) << 50},
    {"EB", UINT64_C(1) << 60},
    {"EiB", UINT64_C(1) << 60},
    {NULL, 0},
};

static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The unit that *text starts with, and step over it. */
static const struct unit *
take_unit(const char **text, const struct unit *units)
{
    for (; units->name != NULL; units++) {
        size_t len = strlen(units->name);
        if (strncmp(*text, units->name, len) == 0) {
            *text += len;
            return units;
        }
    }
    return NULL;
}

/* The part of factor that the digits after a point stand for, rounded down. */
static uint64_t
fraction_of(const char *digits, uint64_t factor)
{
    uint64_t above = 0, below = 1;
    for (; is_digit(*digits) && below < MAX_FRACTION; digits++) {
        above = above * 10 + (uint64_t)(*digits - '0');
        below *= 10;
    }
    return (uint64_t)((unsigned __int128)above * factor / below);
}

/* Add one number with its unit, as "1.5h", to *total, and step over it. */
static bool
add_term(const char **text, const struct unit *units, uint64_t *total)
{
    uint64_t whole = 0;
    const char *at = *text;
    const char *fraction = "";
    for (; is_digit(*at); at++)
        if (!num_mul(whole, UINT64_C(10), &whole) ||
            !num_add(whole, (uint64_t)(*at - '0'), &whole))
            return false;
    bool has_digits = at > *text;
    if (*at == '.') {
        fraction = ++at;
        at += strspn(at, "0123456789");
        has_digits |= at > fraction;
    }
    const struct unit *unit = has_digits ? take_unit(&at, units) : NULL;
    *text = at;
    return unit != NULL && num_mul(whole, unit->factor, &whole) &&
           num_add(whole, fraction_of(fraction, unit->factor), &whole) &&
           num_add(*total, whole, total);
}

/* One or more terms, or "0". */
static bool
parse_sum(const char *text, const struct unit *units, uint64_t *total)
{
    *total = 0;
    if (strcmp(text, "0") == 0)
        return true;
    do {
        if (!add_term(&text, units, total))
            return false;
    } while (*text != 0);
    return true;
}

bool
quantity_duration(const char *text, int64_t *ns, struct err *err)
{
    uint64_t sum;
    bool negative = text[0] == '-';
    if (!parse_sum(text + negative, durations, &sum) || sum > INT64_MAX)
        return err_set(
            err, ERR_INVALID,
            "\"%s\" is not a duration such as 500ms, 1h30m or 2d, up to 292y", text);
    *ns = negative ? -(int64_t)sum : (int64_t)sum;
    return true;
}

bool
quantity_size(const char *text, uint64_t *bytes, struct err *err)
{
    uint64_t sum;
    if (!parse_sum(text, sizes, &sum))
        return err_set(err, ERR_INVALID,
                       "\"%s\" is not a size in bytes such as 250MB or 2GiB", text);
    *bytes = sum;
    return true;
}

/* A number of exactly this many digits, low..high, and step over it. */
static bool
take_number(const char **text, int digits, int low, int high, int *out)
{
    int n = 0;
    for (int i = 0; i < digits; i++) {
        if (!is_digit((*text)[i]))
            return false;
        n = n * 10 + ((*text)[i] - '0');
    }
    *text += digits;
    *out = n;
    return n >= low && n <= high;
}

static bool
take_char(const char **text, char c)
{
    bool is_there = **text == c;
    *text += is_there;
    return is_there;
}

static int
days_of_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && is_leap);
}

/* Days from 1970-01-01; year is not negative. Years begin in March here, so that a leap
 * day is the last of its year. */
static int64_t
days_since_epoch(int year, int month, int day)
{
    enum { DAYS_TO_EPOCH = 719468, MARCH = 3 };
    int64_t y = month < MARCH ? year - 1 : year;
    int64_t m = month < MARCH ? month + 12 - MARCH : month - MARCH;
    int64_t leap_days = y < 0 ? -1 : y / 4 - y / 100 + y / 400;
    return y * 365 + leap_days + (153 * m + 2) / 5 + day - 1 - DAYS_TO_EPOCH;
}

static bool
take_date(const char **text, int64_t *days)
{
    int year, month, day;
    if (!take_number(text, 4, 0, 9999, &year) || !take_char(text, '-') ||
        !take_number(text, 2, 1, 12, &month) || !take_char(text, '-') ||
        !take_number(text, 2, 1, days_of_month(year, month), &day))
        return false;
    *days = days_since_epoch(year, month, day);
    return true;
}

static bool
take_time_of_day(const char **text, int64_t *ms)
{
    int hour, minute, second;
    if (!take_number(text, 2, 0, 23, &hour) || !take_char(text, ':') ||
        !take_number(text, 2, 0, 59, &minute) || !take_char(text, ':') ||
        !take_number(text, 2, 0, 59, &second))
        return false;
    *ms = (hour * HOUR_S + minute * 60 + second) * INT64_C(1000);
    if (!take_char(text, '.'))
        return true;
    *ms += (int64_t)fraction_of(*text, 1000);
    size_t digits = strspn(*text, "0123456789");
    *text += digits;
    return digits > 0;
}

static bool
take_zone(const char **text, int64_t *offset_ms)
{
    int hour, minute;
    *offset_ms = 0;
    if (take_char(text, 'Z'))
        return true;
    bool west = take_char(text, '-');
    if ((!west && !take_char(text, '+')) || !take_number(text, 2, 0, 23, &hour) ||
        !take_char(text, ':') || !take_number(text, 2, 0, 59, &minute))
        return false;
    int64_t ms = (hour * HOUR_S + minute * 60) * INT64_C(1000);
    *offset_ms = west ? -ms : ms;
    return true;
}

bool
quantity_rfc3339(const char *text, int64_t *ms, struct err *err)
{
    const char *at = text;
    int64_t days, day_ms, offset_ms;
    if (!take_date(&at, &days) || !take_char(&at, 'T') ||
        !take_time_of_day(&at, &day_ms) || !take_zone(&at, &offset_ms) || *at != 0)
        return err_set(err, ERR_INVALID,
                       "\"%s\" is not a time such as 2026-01-31T00:00:00Z", text);
    *ms = days * DAY_S * 1000 + day_ms - offset_ms;
    return true;
}
