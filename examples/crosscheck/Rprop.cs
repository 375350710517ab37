// An Rprop in C# that the referee can talk to: iRprop- with double parameters.
//
//     mcs Rprop.cs                                                     (with .NET: dotnet build)
//     python -m rprop_ref crosscheck --cmd "mono Rprop.exe"
//
// The protocol is one JSON object per line, described in docs/crosscheck.md. Numbers are read and written as hexadecimal
// floats: not every library converts decimals exactly. No JSON library is needed.
using System;
using System.Linq;
using System.Text.RegularExpressions;

class Rprop
{
    public readonly double[] X, Prev, StepSize;
    public double[] Etas, Limits;
    readonly int direction;

    public Rprop(double[] x0, double lr, double[] etas, double[] limits, bool maximize)
    {
        X = x0;
        Prev = new double[x0.Length];
        StepSize = Enumerable.Repeat(lr, x0.Length).ToArray();
        Etas = etas;
        Limits = limits;
        direction = maximize ? -1 : 1;
    }

    public void Step(double[] grad)
    {
        for (int i = 0; i < X.Length; i++)
        {
            double g = direction * grad[i], product = g * Prev[i];
            double factor = product > 0 ? Etas[1] : product < 0 ? Etas[0] : 1;
            double size = StepSize[i] * factor;
            size = size < Limits[0] ? Limits[0] : size;
            StepSize[i] = size = size > Limits[1] ? Limits[1] : size;
            if (product < 0) g = 0;
            X[i] -= ((g > 0 ? 1 : 0) - (g < 0 ? 1 : 0)) * size;
            Prev[i] = g;
        }
    }
}

static class Program
{
    // The number or numbers that follow a key; null if it is not there, or null.
    static double[] Numbers(string line, string key)
    {
        var match = Regex.Match(line, "\"" + key + "\": (\\[[^]]*\\]|\"[^\"]*\")");
        return match.Success ? match.Groups[1].Value.Trim('[', ']').Split(',').Select(Read).ToArray() : null;
    }

    // 0x1.8p-3 is the whole number 0x18, times 2 to the power of -3 - 4.
    static double Read(string text)
    {
        text = text.Trim(' ', '"');
        if (text == "nan") return double.NaN;
        double sign = text[0] == '-' ? -1 : 1;
        if (text.EndsWith("inf")) return sign * double.PositiveInfinity;
        var match = Regex.Match(text, "0x([01])\\.?([0-9a-f]*)p(.*)");
        string fraction = match.Groups[2].Value;
        ulong digits = Convert.ToUInt64(match.Groups[1].Value + fraction, 16);
        return sign * digits * Math.Pow(2, int.Parse(match.Groups[3].Value) - 4 * fraction.Length);
    }

    static string Write(double value)
    {
        if (double.IsNaN(value)) return "\"nan\"";
        string sign = BitConverter.DoubleToInt64Bits(value) < 0 ? "-" : "";
        if (double.IsInfinity(value)) return "\"" + sign + "inf\"";
        long bits = BitConverter.DoubleToInt64Bits(value), fraction = bits & 0xfffffffffffff;
        int exponent = (int)(bits >> 52 & 0x7ff);
        string lead = exponent == 0 ? "0" : "1"; // 0 for subnormal numbers
        return "\"" + sign + "0x" + lead + "." + fraction.ToString("x13") + "p" + (Math.Max(exponent, 1) - 1023) + "\"";
    }

    static string Member(string key, double[] values)
    {
        return "\"" + key + "\": [" + string.Join(", ", values.Select(Write)) + "]";
    }

    static void Main()
    {
        Rprop rprop = null;
        for (string line; (line = Console.ReadLine()) != null;)
        {
            string answer = "";
            switch (Regex.Match(line, "\"op\": \"(\\w+)\"").Groups[1].Value)
            {
                case "hello":
                    answer = "\"protocol\": 1, \"name\": \"Rprop.cs\", \"dtypes\": [\"float64\"], \"has\": [\"none\", \"set\"]";
                    break;
                case "new":
                    rprop = new Rprop(Numbers(line, "x0_hex"), Numbers(line, "lr_hex")[0], Numbers(line, "etas_hex"),
                        Numbers(line, "step_sizes_hex"), line.Contains("\"maximize\": true"));
                    break;
                case "set": // lr is read only at the start
                    rprop.Etas = Numbers(line, "etas_hex") ?? rprop.Etas;
                    rprop.Limits = Numbers(line, "step_sizes_hex") ?? rprop.Limits;
                    break;
                case "step":
                    double[] grad = Numbers(line, "grad_hex");
                    if (grad != null) rprop.Step(grad);
                    answer = Member("x_hex", rprop.X) + ", " + Member("prev_hex", rprop.Prev) + ", " + Member("step_size_hex", rprop.StepSize);
                    break;
                default:
                    return; // bye
            }
            // With the id of the question, an answer cannot be mistaken for that to another question.
            Console.WriteLine("{" + Regex.Match(line, "\"id\": \\d+").Value + (answer == "" ? "" : ", " + answer) + "}");
        }
    }
}
