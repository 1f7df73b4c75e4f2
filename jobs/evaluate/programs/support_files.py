"""Files of our own in place of libraries that MultiPL-E's tests import."""

from __future__ import annotations

PERL_DEEP = r"""package Test::Deep;
use strict;
use warnings;
use Exporter 'import';
our @EXPORT = qw(eq_deeply);

sub eq_deeply {
    my ($one, $two) = @_;
    return !defined($one) && !defined($two) if !defined($one) || !defined($two);
    return 0 if ref($one) ne ref($two);
    return $one eq $two if !ref($one);
    if (ref($one) eq 'ARRAY') {
        return 0 if @$one != @$two;
        for my $place (0 .. $#$one) {
            return 0 if !eq_deeply($one->[$place], $two->[$place]);
        }
        return 1;
    }
    if (ref($one) eq 'HASH') {
        return 0 if keys(%$one) != keys(%$two);
        for my $key (keys %$one) {
            return 0 if !exists($two->{$key}) || !eq_deeply($one->{$key}, $two->{$key});
        }
        return 1;
    }
    return eq_deeply($$one, $$two) if ref($one) eq 'SCALAR' || ref($one) eq 'REF';
    return $one == $two;
}

1;
"""
"""``Test::Deep``: the one function that the tests call."""

JAVA_PAIR = """package org.javatuples;

import java.util.Objects;

public final class Pair<A, B> {
    private final A one;
    private final B two;

    public Pair(A one, B two) {
        this.one = one;
        this.two = two;
    }

    public static <A, B> Pair<A, B> with(A one, B two) {
        return new Pair<>(one, two);
    }

    public A getValue0() {
        return one;
    }

    public B getValue1() {
        return two;
    }

    public <C> Pair<C, B> setAt0(C value) {
        return new Pair<>(value, two);
    }

    public <C> Pair<A, C> setAt1(C value) {
        return new Pair<>(one, value);
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof Pair<?, ?> pair
            && Objects.equals(one, pair.one) && Objects.equals(two, pair.two);
    }

    @Override
    public int hashCode() {
        return Objects.hash(one, two);
    }

    @Override
    public String toString() {
        return "[" + one + ", " + two + "]";
    }
}
"""
"""``org.javatuples``: the one class that the prompts and tests use."""
